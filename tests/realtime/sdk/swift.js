// What the Swift SDK does over its socket, by socket.io-client 2: RTClient.swift, RTMessaging.swift and RTMethod.swift in
// JavaScript, since Swift itself does not run here. The same Engine.IO 3, and answers read as strictly as Swift casts them.
'use strict';

const io = require('socket.io-client');

const PATIENCE_MS = 10000;

// `getResponse.replacingOccurrences(of: "\"", with: "")`
async function lookUp(url, prefix) {
  const answer = await fetch(`${url}${prefix}/rt/lookup`);
  return (await answer.text()).replaceAll('"', '');
}

class RTClient {
  constructor(host, { applicationId, key, transports }) {
    const path = `/${applicationId}`;
    this.received = [];
    this.socket = io(host + path, {
      path, transports, query: { apiKey: key, clientId: 'CLIENT-1' }, reconnection: false, forceNew: true,
    });
    for (const event of ['SUB_RES', 'SUB_READY', 'MET_RES', 'connect_error', 'error', 'disconnect']) {
      this.socket.on(event, content => this.received.push({ event, content }));
    }
  }

  async first(matches) {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end;) {
      const found = this.received.find(matches);
      if (found) {
        this.received.splice(this.received.indexOf(found), 1);
        return found.content;
      }
      await new Promise(resolve => setTimeout(resolve, 10));
    }
    throw new Error(`nothing came: ${matches}, but ${JSON.stringify(this.received)}`);
  }

  connected() {
    return new Promise((resolve, reject) => {
      this.socket.on('connect', resolve);
      this.socket.on('connect_error', reject);
    });
  }

  subscribe(id, name, options) {
    this.socket.emit('SUB_ON', { id, name, options });
  }

  result(id) {
    return this.first(({ event, content }) => event === 'SUB_RES' && content.id === id);
  }

  async invoke(id, name, options) {
    this.socket.emit('MET_REQ', { id, name, ...options });
    return this.first(({ event, content }) => event === 'MET_RES' && content.id === id);
  }
}

async function listen(client, channel) {
  client.subscribe('CONNECT', 'PUB_SUB_CONNECT', { channel });
  const { data } = await client.result('CONNECT');
  // a listener that was added before the channel was joined has the name of its event in its options
  client.subscribe('ALL', 'PUB_SUB_MESSAGES', { event: 'PUB_SUB_MESSAGES', channel });
  client.subscribe('SOME', 'PUB_SUB_MESSAGES', { channel, selector: 'foo > 10' });
  client.subscribe('BAD', 'PUB_SUB_MESSAGES', { channel, selector: 'foo >' });
  client.subscribe('COMMANDS', 'PUB_SUB_COMMANDS', { channel });
  client.subscribe('USERS', 'PUB_SUB_USERS', { channel });
  return { joined: data, refused: (await client.result('BAD')).error, users: (await client.result('USERS')).data };
}

async function publish({ url, prefix, channelName }, body) {
  const headers = { 'Content-Type': 'application/json' };
  const answer = await fetch(`${url}${prefix}/messaging/${channelName}`, {
    method: 'POST', headers, body: JSON.stringify(body),
  });
  return answer.json();
}

module.exports = async function swift(configuration) {
  const { url, prefix, channelName } = configuration;
  const client = new RTClient(await lookUp(url, prefix), configuration);
  await client.connected();
  const report = await listen(client, channelName);

  report.published = await publish(configuration, { message: 'first €', headers: { foo: 20 } });
  report.all = (await client.result('ALL')).data;
  report.some = (await client.result('SOME')).data;
  report.transport = client.socket.io.engine.transport.name;
  report.sent = await client.invoke('M1', 'PUB_SUB_COMMAND', { options: { channel: channelName, type: 'TYPE' } });
  report.command = (await client.result('COMMANDS')).data;
  report.loggedOut = await client.invoke('M2', 'SET_USER_TOKEN', {});
  client.socket.emit('SUB_OFF', { id: 'ALL' });
  await publish(configuration, { message: 'second', headers: { foo: 30 } });
  report.second = (await client.result('SOME')).data.message;
  report.rest = client.received.filter(({ event }) => event !== 'SUB_READY');
  report.deadToken = await client.invoke('M3', 'SET_USER_TOKEN', { options: { userToken: 'DEAD' } });
  client.socket.close();
  return report;
};
