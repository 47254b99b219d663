// @parse/node-apn as its README uses it: a provider with a token, one notification, many devices in a call.
"use strict";

const apn = require("@parse/node-apn");
const { job, run } = require("./job");

const provider = new apn.Provider({
  token: { key: job.apns_key, keyId: "DEMOKEY001", teamId: "DEMOTEAM01" },
  address: "localhost",
  port: job.port,
  ca: job.ca_text,
  production: true,
});
const notification = new apn.Notification({ topic: "com.example.app", badge: 1, pushType: "alert" });
notification.alert = { title: job.title, body: job.text };

// nginx answers before it has read the body and then resets the stream; of 10,000 in one call node-apn lost 2,550 so.
const CALL = 1000;

run(async (devices) => {
  let accepted = 0;
  let failed = 0;
  for (let first = 0; first < devices.length; first += CALL) {
    const result = await provider.send(notification, devices.slice(first, first + CALL));
    accepted += result.sent.length;
    failed += result.failed.length;
  }
  return [accepted, failed];
});
