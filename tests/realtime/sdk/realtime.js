// The real-time sequence of the SDK's own tests: join, listen, publish, command, who is there, leave.
'use strict';

(function (root) {
  function once(subscribe) {
    return new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error(`nothing came: ${subscribe}`)), 10000);
      subscribe(resolve, reject);
    });
  }

  const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

  // What was received, and a promise of the next so many.
  class Inbox {
    constructor() {
      this.received = [];
      this.take = item => { this.received.push(item); };
    }

    async reaches(count) {
      for (let tries = 0; this.received.length < count; tries++) {
        if (tries > 500) {
          throw new Error(`${this.received.length} came, not ${count}`);
        }
        await pause(20);
      }
      return this.received;
    }
  }

  async function realtime(Backendless, { url, initApp, channelName }) {
    Backendless.serverURL = url;
    Backendless.initApp(...initApp);
    const report = {};

    const channel = Backendless.Messaging.subscribe(channelName);
    await once((resolve, reject) => channel.addConnectListener(resolve, reject));
    report.isConnected = channel.isConnected();

    const all = new Inbox(), some = new Inbox(), commands = new Inbox(), users = new Inbox(), refused = new Inbox();
    channel.addMessageListener(all.take);
    channel.addMessageListener('foo > 10', some.take);
    channel.addMessageListener('foo >', some.take, refused.take);
    channel.addCommandListener(commands.take);
    channel.addUserStatusListener(users.take);
    await users.reaches(1);
    [report.listing] = users.received;
    report.refusedSelector = (await refused.reaches(1)).map(({ code, message }) => ({ code, message }));

    const options = foo => new Backendless.PublishOptions({ headers: { foo } });
    report.published = await channel.publish('first', options(20));
    await all.reaches(1);
    await some.reaches(1);
    await channel.publish({ second: [1, null, 'ä€😀'] }, options(5));
    await channel.publish(null);
    report.messages = await all.reaches(3);

    await channel.send('TYPE', { x: 1 });
    report.commands = await commands.reaches(1);

    channel.removeMessageListeners('foo > 10', some.take);
    await channel.publish('third', options(30));
    await all.reaches(4);
    report.selected = some.received.map(({ message }) => message);

    const forbidden = Backendless.Messaging.subscribe('message:forbidden');
    report.forbidden = await once((_, reject) => forbidden.addConnectListener(() => {}, reject)).catch(error => error);
    report.forbidden = { code: report.forbidden.code, message: report.forbidden.message };

    const { ioSocket } = await Backendless.RT.session.getSocket();
    report.transport = ioSocket.io.engine.transport.name;

    channel.leave();
    report.isConnectedAfterLeaving = channel.isConnected();
    Backendless.RT.terminate();
    return report;
  }

  if (typeof module === 'object' && module.exports) {
    module.exports = realtime;
  } else {
    root.realtime = realtime;
  }
}(typeof globalThis === 'object' ? globalThis : this));
