// One job of a peer: load it, say "ready", wait for a line, send, say what came of it. The caller measures in between.
"use strict";

const fs = require("fs");

const job = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));

async function run(send) {
  await send(job.devices.slice(0, job.warm_up));
  process.stdout.write("ready\n");
  await new Promise((resolve) => process.stdin.once("data", resolve));
  const started = process.hrtime.bigint();
  const [accepted, failed] = await send(job.devices.slice(job.warm_up));
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  process.stdout.write(JSON.stringify({ accepted, failed, seconds }) + "\n");
  await new Promise((resolve) => process.stdin.once("end", resolve));
  process.exit(0);
}

module.exports = { job, run };
