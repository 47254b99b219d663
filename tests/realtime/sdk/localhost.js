// node --require ./localhost.js: `*.localhost` is this machine (RFC 6761 6.3). Browsers know; many a system's resolver does not.
'use strict';

const dns = require('node:dns');

const { lookup } = dns;
dns.lookup = (hostname, ...others) => lookup(hostname.endsWith('.localhost') ? 'localhost' : hostname, ...others);
