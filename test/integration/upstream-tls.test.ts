import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { ConfigError, loadConfig } from '../../src/config/config.ts';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { type CertificateFiles, Certificates } from '../setup/certificates.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { until } from '../setup/until.ts';
import { closing, openSocket } from '../setup/websocket.ts';

let platform: Platform;
let service: Server;
let url: string;
let token: string;
let authority: CertificateFiles;
let ours: CertificateFiles;
// The decision services share the machine with everything else.
const PATIENT = { IAM_TIMEOUT: '60', POLICY_TIMEOUT: '60', DRAIN_TIMEOUT: '0' };
const certificates = new Certificates();

beforeAll(async () => {
  platform = await startPlatform();
  token = await platform.iam.issue(USERS.scientist);
  authority = certificates.make('authority');
  ours = certificates.make('gateway', authority);
  const theirs = certificates.make('service.internal', authority);
  service = createServer(
    {
      key: readFileSync(theirs.key),
      cert: readFileSync(theirs.cert),
      ca: readFileSync(authority.cert),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (request, response) => {
      const { subject } = (request.socket as TLSSocket).getPeerCertificate(); // an HTTPS server's
      request.resume();
      request.on('end', () => response.end(String(subject.CN)));
    },
  ).listen(0, '127.0.0.1');
  await once(service, 'listening');
  url = `https://127.0.0.1:${(service.address() as AddressInfo).port}`; // listening on TCP
});
afterAll(async () => {
  service.closeAllConnections();
  service.close();
  await platform.close();
  certificates.close();
});

function routesFile(tls: object | undefined): string {
  const file = join(certificates.folder, 'routes.json');
  writeFileSync(file, JSON.stringify({ routes: [{ service: 'x', prefix: '/api/x', target: url, tls }] }));
  return file;
}

/** Asks through a gateway whose route has these fields of `tls`: without a body, and with a streamed one. */
async function askWith(tls: object | undefined): Promise<(string | number)[]> {
  const gateway = await Gateway.start({ ...platform.env, ROUTES_FILE: routesFile(tls), ...PATIENT });
  const plain = await ask(`${gateway.url}/api/x/a`, { token });
  const streamed = await ask(`${gateway.url}/api/x/a`, {
    token,
    body: 'x',
    headers: { 'transfer-encoding': 'chunked', 'content-length': [] },
  });
  await gateway.stop();
  return [plain, streamed].map(({ status, text }) => (status === 200 ? text : status));
}

test('a route’s own authority and client certificate are used, its files found beside the routes file', {
  timeout: 60_000,
}, async () => {
  const relative = (file: string) => file.slice(certificates.folder.length + 1);
  expect(await askWith({ ca: authority.cert, cert: relative(ours.cert), key: relative(ours.key) })).toEqual([
    'gateway',
    'gateway',
  ]);
  expect(await askWith({ ca: authority.cert, ...ours, serverName: 'service.internal' })).toEqual([
    'gateway',
    'gateway',
  ]);
});

// Each of its three routes takes a gateway.
test('a target that cannot prove who it is gets nothing', { timeout: 90_000 }, async () => {
  expect(await askWith(undefined)).toEqual([502, 502]);
  expect(await askWith({ ca: certificates.make('other').cert, ...ours })).toEqual([502, 502]);
  expect(await askWith({ ca: authority.cert, ...ours, serverName: 'other.internal' })).toEqual([502, 502]);
});

test('a target that asks for a certificate lets nobody in without', async () => {
  expect(await askWith({ ca: authority.cert })).toEqual([502, 502]);
});

test('a WebSocket passes over TLS on both sides, and is closed in its own words when its token ends', {
  timeout: 60_000,
}, async () => {
  const sockets = new WebSocketServer({ server: service });
  sockets.on('connection', (socket) => {
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  });
  const gateway = await Gateway.start({
    ...platform.env,
    ROUTES_FILE: routesFile({ ca: authority.cert, ...ours }),
    TLS_CERT: ours.cert,
    TLS_KEY: ours.key,
  });
  const open = (bearer: string) =>
    openSocket(gateway, '/api/x/ws', bearer, { ca: readFileSync(authority.cert) });
  const brief = await platform.iam.issue(USERS.scientist, { exp: Math.ceil(Date.now() / 1000) + 8 });
  const client = await open(brief);
  const closed = closing(client);
  for (const message of [Buffer.from('text'), Buffer.alloc(3_000_000, 'ACGT')]) {
    client.send(message);
    const [data] = await once(client, 'message');
    expect(message.equals(data)).toBe(true);
  }
  const other = await open(token);
  expect(await closed).toEqual({ code: 1008, reason: 'token expired' });
  other.close(4001, 'done');
  expect(await closing(other)).toEqual({ code: 4001, reason: 'done' });
  await until(() => sockets.clients.size === 0);
  sockets.close();
  expect(await gateway.stop()).toBe(0);
});

test.each([
  ['a file that is not there', { ca: 'nowhere.pem' }, /tls: is of no use: ENOENT/],
  ['a key without certificate', { key: 'x.pem' }, /tls: expected cert and key together/],
])('%s stops the start', (_name, tls, fault) => {
  expect(() => loadConfig({ ROUTES_FILE: routesFile(tls) })).toThrow(ConfigError);
  expect(() => loadConfig({ ROUTES_FILE: routesFile(tls) })).toThrow(fault);
});

test('a key that belongs to another certificate stops the start', () => {
  const tls = { cert: ours.cert, key: authority.key };
  expect(() => loadConfig({ ROUTES_FILE: routesFile(tls) })).toThrow(/tls: is of no use: .*key/);
});
