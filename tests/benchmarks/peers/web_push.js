// web-push as its README uses it, over kept connections: as many requests at once as one of our workers has on the wire.
"use strict";

const https = require("https");
const webpush = require("web-push");
const { job, run } = require("./job");

const AT_ONCE = 100;
const keys = webpush.generateVAPIDKeys();
webpush.setVapidDetails("mailto:bench@example.org", keys.publicKey, keys.privateKey);
const agent = new https.Agent({ keepAlive: true, maxSockets: AT_ONCE, ca: job.ca_text });
const payload = JSON.stringify({ title: job.title, body: job.text });

run(async (devices) => {
  const waiting = devices.map((device) => JSON.parse(device));
  let accepted = 0;
  let failed = 0;
  async function sendSome() {
    for (let subscription = waiting.pop(); subscription; subscription = waiting.pop()) {
      try {
        await webpush.sendNotification(subscription, payload, { agent, TTL: 3600 });
        accepted += 1;
      } catch (error) {
        failed += 1;
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, sendSome));
  return [accepted, failed];
});
