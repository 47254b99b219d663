// Every Messaging call of the SDK, each by itself: what it resolves to, or the error it rejects with.
'use strict';

(function (root) {
  async function outcome(call) {
    try {
      return { value: await call() };
    } catch (error) {
      return { error: { code: error.code, message: error.message, status: error.status } };
    }
  }

  function register(Backendless, channels, expiration) {
    return Backendless.Messaging.registerDevice('tok'.padEnd(40, 'x'), channels, expiration);
  }

  function publishing({ Messaging, PublishOptions, DeliveryOptions }, tomorrow) {
    const headers = { 'android-ticker-text': 'T', 'android-content-title': 'C', 'ios-alert': 'A', 'ios-badge': 1, foo: 20 };
    const options = new PublishOptions({ publisherId: 'pub', subtopic: 'st', headers });
    const delivery = values => new DeliveryOptions(values);
    const repeated = { publishAt: tomorrow, repeatEvery: 60, repeatExpiresAt: tomorrow + 3600000 };
    const targeted = { publishPolicy: 'PUSH', pushBroadcast: 3, pushSinglecast: ['d1', 'd2'] };
    const dates = { pushBroadcast: 'IOS|ANDROID', publishAt: new Date(tomorrow), repeatExpiresAt: new Date(tomorrow + 1) };
    return {
      text: () => Messaging.publish('default', 'hello'),
      object: () => Messaging.publish('default', { a: 1 }),
      nothing: () => Messaging.publish('default', null),
      absent: () => Messaging.publish('default'),
      strangeChannel: () => Messaging.publish('my chan €+', 'x'),
      options: () => Messaging.publish('default', 'h', options),
      numbers: () => Messaging.publish('default', 'h', null, delivery({ ...targeted, ...repeated })),
      dates: () => Messaging.publish('default', 'h', null, delivery(dates)),
      plainObjects: () => Messaging.publish('default', 'h', { headers: { a: 'b' } }, { pushPolicy: 'NONE', unknown: 1 }),
      falsy: () => Messaging.publish('default', 'h', null, delivery({ pushBroadcast: 0, repeatEvery: 0 })),
      past: () => Messaging.publish('default', 'h', null, delivery({ publishAt: 1000000000000 })),
    };
  }

  async function scheduled({ Messaging, DeliveryOptions }, tomorrow) {
    const later = new DeliveryOptions({ publishAt: tomorrow });
    const { messageId } = await Messaging.publish('default', 'later', null, later);
    return {
      status: await outcome(() => Messaging.getMessageStatus(messageId)),
      cancel: await outcome(() => Messaging.cancel(messageId)),
      statusAfter: await outcome(() => Messaging.getMessageStatus(messageId)),
      cancelAgain: await outcome(() => Messaging.cancel(messageId)),
      unknown: await outcome(() => Messaging.getMessageStatus('BAD')),
    };
  }

  async function devices(Backendless, tomorrow) {
    Backendless.setupDevice({ uuid: 'DEV-1', platform: 'android', version: '14' });
    return {
      plain: await outcome(() => register(Backendless)),
      channels: await outcome(() => register(Backendless, ['news', 'default'])),
      milliseconds: await outcome(() => register(Backendless, ['news'], tomorrow)),
      date: await outcome(() => register(Backendless, ['news'], new Date(tomorrow + 123))),
      expired: await outcome(() => register(Backendless, ['news'], new Date(1000000000000))),
      get: await outcome(() => Backendless.Messaging.getRegistrations()),
      unregister: await outcome(() => Backendless.Messaging.unregisterDevice()),
      getAfter: await outcome(() => Backendless.Messaging.getRegistrations()),
      unregisterAgain: await outcome(() => Backendless.Messaging.unregisterDevice()),
    };
  }

  async function templates({ Messaging }) {
    return {
      push: await outcome(() => Messaging.pushWithTemplate('welcome')),
      pushWithValues: await outcome(() => Messaging.pushWithTemplate('my tpl', { name: 'Bob', n: 3 })),
      unknown: await outcome(() => Messaging.pushWithTemplate('no such template')),
      android: await outcome(() => Messaging.getPushTemplates('ANDROID')),
      ios: await outcome(() => Messaging.getPushTemplates('ios')),
    };
  }

  async function users({ UserService, Messaging, User }) {
    const account = Object.assign(new User(), { email: 'a@b.c', password: 'a long password' });
    const report = { register: await outcome(() => UserService.register(account)) };
    report.login = await outcome(() => UserService.login('a@b.c', 'a long password'));
    report.publish = await outcome(() => Messaging.publish('default', 'after login'));
    report.isValidLogin = await outcome(() => UserService.isValidLogin());
    report.logout = await outcome(() => UserService.logout());
    report.publishAfter = await outcome(() => Messaging.publish('default', 'after logout'));
    report.wrongPassword = await outcome(() => UserService.login('a@b.c', 'wrong'));
    return report;
  }

  async function email({ Messaging, Bodyparts, EmailEnvelope }) {
    const bodies = new Bodyparts({ textmessage: 't', htmlmessage: 'h' });
    return {
      plain: await outcome(() => Messaging.sendEmail('s', bodies, ['a@b.c'])),
      template: await outcome(() => Messaging.sendEmailFromTemplate(
        'nonexistent-template', new EmailEnvelope({ addresses: ['a@b.c'] }), { foo: 'bar' },
      )),
    };
  }

  async function messaging(Backendless, { url, initApp, initNobody, tomorrow }) {
    Backendless.serverURL = url;
    Backendless.initApp(...initApp);
    const report = { publish: {} };
    for (const [name, call] of Object.entries(publishing(Backendless, tomorrow))) {
      report.publish[name] = await outcome(call);
    }
    report.scheduled = await scheduled(Backendless, tomorrow);
    report.devices = await devices(Backendless, tomorrow);
    report.templates = await templates(Backendless);
    const { Messaging } = Backendless;
    report.deleteChannel = Messaging.deleteChannel ? await outcome(() => Messaging.deleteChannel('news')) : null;
    report.email = await email(Backendless);
    report.users = await users(Backendless);
    Backendless.serverURL = url;
    Backendless.initApp(...initNobody);
    report.nobody = await outcome(() => Backendless.Messaging.publish('default', 'h'));
    return report;
  }

  if (typeof module === 'object' && module.exports) {
    module.exports = messaging;
  } else {
    root.messaging = messaging;
  }
}(typeof globalThis === 'object' ? globalThis : this));
