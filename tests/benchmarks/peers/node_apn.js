// @parse/node-apn as its README uses it: a provider with a token, one notification, all devices in one call.
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

run(async (devices) => {
  const result = await provider.send(notification, devices);
  return [result.sent.length, result.failed.length];
});
