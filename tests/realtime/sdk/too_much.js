// Commands that cannot be taken, all the same sent: each is settled by itself, and nothing else is lost.
'use strict';

(function (root) {
  const outcome = call => call.then(() => 'sent', error => Number(error.code));

  function nested(depth) {
    let value = 0;
    for (let level = 0; level < depth; level++) {
      value = [value];
    }
    return value;
  }

  async function tooMuch(Backendless, { url, initApp, length, many }) {
    Backendless.serverURL = url;
    Backendless.initApp(...initApp);
    const report = { connects: 0 };
    Backendless.RT.addConnectEventListener(() => { report.connects++; });

    const channel = Backendless.Messaging.subscribe('default');
    const received = new Promise(resolve => channel.addMessageListener(resolve));
    const send = data => outcome(channel.send('chat', data));
    // before it is connected: all that waits is sent at once
    const waiting = Array.from({ length: many }, (_, number) => send({ number }));
    const buffer = () => send({ bytes: new Uint8Array([1, 2, 3]).buffer, text: 'ä€😀' });
    waiting.push(buffer(), send('x'.repeat(length)));
    const first = await Promise.all(waiting);
    report.longWhileWaiting = first.pop();
    report.bufferWhileWaiting = first.pop();
    report.outcomes = [...new Set(first)].map(String).sort();

    report.long = await send({ text: 'x'.repeat(length) });
    report.nested = await send(nested(3000));
    report.buffer = await buffer();
    report.halfAnEmoji = await send('tea \ud83d');
    await channel.publish('hello');
    report.message = (await received).message;
    Backendless.RT.terminate();
    return report;
  }

  if (typeof module === 'object' && module.exports) {
    module.exports = tooMuch;
  } else {
    root.tooMuch = tooMuch;
  }
}(typeof globalThis === 'object' ? globalThis : this));
