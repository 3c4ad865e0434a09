import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { Certificates } from '../setup/certificates.ts';
import { Gateway } from '../setup/gateway.ts';
import { RawClient } from '../setup/raw-client.ts';
import { until } from '../setup/until.ts';

const certificates = new Certificates();
const authority = certificates.make('authority');
const server = certificates.make('gateway', authority);
const stranger = certificates.make('stranger');
let platform: Platform;
let token: string;

beforeAll(async () => {
  platform = await startPlatform();
  token = await platform.iam.issue(USERS.scientist);
});
afterAll(async () => {
  await platform.close();
  certificates.close();
});

const tls = { TLS_CERT: server.cert, TLS_KEY: server.key };
const trusting = { ca: readFileSync(authority.cert) };

/** One request over TLS of its own; rejects where the handshake fails. */
function get(port: number, path: string, options: ConnectionOptions = {}): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, connection: 'close' };
    const message = request({
      port,
      host: '127.0.0.1',
      path,
      headers,
      agent: false,
      ...trusting,
      ...options,
    });
    message.on('error', reject).on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      response.on('error', reject).on('end', () => resolve([response.statusCode ?? 0, text]));
    });
    message.end();
  });
}

/** The name in the certificate that the gateway shows. */
async function nameOn(gateway: Gateway): Promise<unknown> {
  const socket: TLSSocket = connect({ port: gateway.port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { CN } = socket.getPeerCertificate().subject;
  socket.destroy();
  return CN;
}

describe('with TLS_CERT and TLS_KEY', () => {
  let gateway: Gateway;
  beforeAll(async () => {
    gateway = await Gateway.start({ ...platform.env, ...tls });
  });
  afterAll(() => gateway.stop());

  test('clients are served over TLS, and services know it', async () => {
    const [status, text] = await get(gateway.port, '/api/lims/echo');
    expect(status).toBe(200);
    expect(JSON.parse(text).headers).toMatchObject({ 'x-forwarded-proto': 'https' });
  });

  test('HTTP/1.1 is the only protocol, TLS 1.2 the oldest version', async () => {
    const modern = connect({
      port: gateway.port,
      host: '127.0.0.1',
      ALPNProtocols: ['h2', 'http/1.1'],
      ...trusting,
    });
    await once(modern, 'secureConnect');
    expect(modern.alpnProtocol).toBe('http/1.1');
    modern.destroy();
    const old = { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    await expect(get(gateway.port, '/health', old)).rejects.toThrow();
  });

  test('what is no TLS is answered with nothing and counted', async () => {
    const client = await RawClient.connect(gateway.port);
    client.send('GET /health HTTP/1.1\r\nHost: x\r\n\r\n');
    await client.untilClosed();
    expect(client.received).not.toContain('HTTP/1.1 200');
    expect(await gateway.metrics()).toMatch(/connections_cut_total\{reason="broken"\} [1-9]/);
  });

  test('a stop finishes what is in flight', async () => {
    const draining = await Gateway.start({ ...platform.env, ...tls });
    await get(draining.port, '/api/lims/x');
    const before = platform.policy.calls.length;
    // Longer than an idle connection is waited for.
    const slow = get(draining.port, '/api/lims/slow?ms=2500');
    while (platform.policy.calls.length === before) await new Promise(setImmediate);
    const stopped = draining.stop();
    expect((await slow)[0]).toBe(200);
    expect(await stopped).toBe(0);
  });
});

describe('with TLS_CLIENT_CA', () => {
  let gateway: Gateway;
  beforeAll(async () => {
    gateway = await Gateway.start({ ...platform.env, ...tls, TLS_CLIENT_CA: authority.cert });
  });
  afterAll(() => gateway.stop());

  const shown = (files: { cert: string; key: string }) => ({
    cert: readFileSync(files.cert),
    key: readFileSync(files.key),
  });

  test('a client with a certificate of that authority is served', async () => {
    const client = certificates.make('client', authority);
    expect((await get(gateway.port, '/api/lims/x', shown(client)))[0]).toBe(200);
  });

  test.each([
    ['none', {}],
    ['another one', shown(stranger)],
  ])('a client with %s is not', async (_name, options) => {
    await expect(get(gateway.port, '/api/lims/x', options)).rejects.toThrow();
  });
});

test('the files are read when a worker starts', async () => {
  const cert = join(certificates.folder, 'changing.crt');
  const key = join(certificates.folder, 'changing.key');
  for (const files of [server, stranger]) {
    copyFileSync(files.cert, cert);
    copyFileSync(files.key, key);
    const gateway = await Gateway.start({ ...platform.env, TLS_CERT: cert, TLS_KEY: key });
    expect(await nameOn(gateway)).toBe(files === server ? 'gateway' : 'stranger');
    await gateway.stop();
  }
}, 60_000);

test('SIGHUP takes up a new certificate, and keeps the old one where the new one is of no use', async () => {
  const files = {
    TLS_CERT: join(certificates.folder, 'rolled.crt'),
    TLS_KEY: join(certificates.folder, 'rolled.key'),
  };
  const put = (from: { cert: string; key: string }) => {
    copyFileSync(from.cert, files.TLS_CERT);
    copyFileSync(from.key, files.TLS_KEY);
  };
  put(server);
  const gateway = await Gateway.start({ ...platform.env, ...files });
  put(stranger);
  gateway.process.kill('SIGHUP');
  await until(async () => (await nameOn(gateway)) === 'stranger');
  writeFileSync(files.TLS_KEY, 'nothing\n');
  gateway.process.kill('SIGHUP');
  await until(() => gateway.output.includes('reload refused'));
  expect(await nameOn(gateway)).toBe('stranger');
  await gateway.stop();
});

test.each([
  ['TLS_KEY', { TLS_CERT: server.cert }],
  ['TLS_CERT', { TLS_KEY: server.key }],
  ['TLS_CERT', { ...tls, TLS_CERT: '/nowhere/gateway.crt' }],
  ['TLS_CERT', { ...tls, TLS_CERT: server.key }],
  ['TLS_KEY', { ...tls, TLS_KEY: server.cert }],
  ['TLS_KEY', { ...tls, TLS_KEY: stranger.key }],
  ['TLS_CLIENT_CA', { TLS_CLIENT_CA: authority.cert }],
  ['TLS_CLIENT_CA', { ...tls, TLS_CLIENT_CA: join(certificates.folder, 'none') }],
])('%s stops the start where it cannot be used', async (name, env) => {
  writeFileSync(join(certificates.folder, 'none'), 'nothing\n');
  const gateway = await Gateway.spawn({ ...platform.env, ...env });
  await once(gateway.process, 'exit');
  expect(gateway.process.exitCode).toBe(78);
  expect(gateway.output).toMatch(new RegExp(`^${name}: [^\n]*expected[^\n]*\n$`));
  await gateway.stop();
});
