import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { Upstream } from '../setup/upstream.ts';

const NAME = 'omnibioai_access_token';

let platform: Platform;
let gateway: Gateway;
let token: string;
/** Shows what it got, and takes every WebSocket. */
let service: Upstream;
const accepted: IncomingMessage[] = [];

beforeAll(async () => {
  platform = await startPlatform();
  service = await Upstream.start();
  service.handler = (request, response) => response.end(JSON.stringify({ headers: request.headers }));
  service.accept((_socket, request) => {
    accepted.push(request);
  });
  gateway = await Gateway.start({
    ...platform.env,
    LIMS_URL: service.url,
    AUTH_COOKIE: NAME,
    CORS_ORIGINS: 'https://studio.example.org, https://lab.example.org:8443',
    TRUSTED_PROXIES: '127.0.0.1',
  });
  token = await platform.iam.issue(USERS.scientist);
});
afterAll(async () => {
  await gateway.stop();
  await Promise.all([platform.close(), service.close()]);
});

const send = (headers: Record<string, string | string[]>, method = 'GET', path = '/api/lims/x') =>
  ask(`${gateway.url}${path}`, { method, headers });

/** Status of the answer to a request for a WebSocket. */
async function upgrade(headers: Record<string, string>): Promise<number> {
  const socket = connect(gateway.port, '127.0.0.1');
  const lines = Object.entries({
    Host: `127.0.0.1:${gateway.port}`,
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`GET /api/lims/ws HTTP/1.1\r\n${lines.join('')}\r\n`);
  const [chunk] = await once(socket, 'data');
  socket.destroy();
  return Number(String(chunk).slice(9, 12));
}

describe('plain requests', () => {
  test('safe methods may carry the token in the cookie, others not', async () => {
    const cookie = `theme=dark; ${NAME}=${token}; lang=en`;
    for (const method of ['GET', 'HEAD', 'OPTIONS'])
      expect((await send({ cookie }, method)).status).toBe(200);
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND']) {
      const answer = await send({ cookie, origin: 'https://studio.example.org' }, method);
      expect([answer.status, answer.json.error]).toEqual([401, 'missing token']);
    }
  });

  test('the service gets the token as Authorization and never as a cookie', async () => {
    const headers = async (cookie: string | string[], authorization?: string) =>
      (await send({ cookie, ...(authorization === undefined ? {} : { authorization }) })).json
        .headers as Record<string, string>;
    const one = await headers(`theme=dark; ${NAME}=${token}; lang=en`);
    expect(one).toMatchObject({ cookie: 'theme=dark; lang=en', authorization: `Bearer ${token}` });
    expect((await headers(`${NAME}=${token}`)).cookie).toBeUndefined();
    expect((await headers(`a=1; ${NAME}=stale; b=2; ${NAME}=other`, `Bearer ${token}`)).cookie).toBe(
      'a=1; b=2',
    );
    expect((await headers([`${NAME}=${token}`, 'a=1'])).cookie).toBe('a=1');
    expect((await headers(`x${NAME}=1; a=${NAME}=2`, `Bearer ${token}`)).cookie).toBe(
      `x${NAME}=1; a=${NAME}=2`,
    );
  });

  test('a header beats the cookie, also one that is no good', async () => {
    const cookie = `${NAME}=${token}`;
    expect((await send({ cookie, authorization: 'Basic YTpi' })).json.error).toBe('missing token');
    expect((await send({ cookie, authorization: 'Bearer x.y.z' })).json.error).toBe('invalid token');
    expect((await send({ cookie, authorization: '' })).json.error).toBe('missing token');
  });

  test('two cookies of the name, an empty one, one with more than a token', async () => {
    for (const cookie of [
      `${NAME}=${token}; ${NAME}=${token}`,
      `${NAME}=`,
      `${NAME}=${token} x`,
      `${NAME}="${token}"`,
    ]) {
      expect((await send({ cookie })).json.error).toBe('invalid token');
    }
    for (const cookie of [`x${NAME}=${token}`, `${NAME.toUpperCase()}=${token}`, NAME]) {
      expect((await send({ cookie })).json.error).toBe('missing token');
    }
  });

  test('/auth/verify is asked about another request, so no cookie counts there', async () => {
    expect((await send({ cookie: `${NAME}=${token}` }, 'GET', '/auth/verify')).status).toBe(401);
  });
});

describe('upgrades', () => {
  test('from an allowed origin or the gateway’s own, and from no other', async () => {
    const Cookie = `${NAME}=${token}`;
    const own = `http://127.0.0.1:${gateway.port}`;
    for (const Origin of ['https://studio.example.org', 'https://lab.example.org:8443', own]) {
      expect(await upgrade({ Cookie, Origin })).toBe(101);
    }
    for (const Origin of [
      'https://evil.example.org',
      'http://studio.example.org',
      'https://studio.example.org.evil.org',
      'https://studio.example.org:444',
      'https://studio.example.org/',
      'https://STUDIO.example.org, https://evil.example.org',
      own.replace('http', 'https'),
      'null',
      '',
    ]) {
      expect(await upgrade({ Cookie, Origin })).toBe(401);
    }
    expect(await upgrade({ Cookie })).toBe(401);
    for (const { headers } of accepted) {
      expect(headers).toMatchObject({ authorization: `Bearer ${token}`, 'x-user-id': '1' });
      expect(headers.cookie).toBeUndefined();
    }
    expect(accepted).toHaveLength(3);
    expect(await upgrade({ Cookie, Origin: own, Connection: 'Upgrade, Origin' })).toBe(401);
  });

  test('behind a trusted proxy its own is what the proxy says', async () => {
    const Cookie = `${NAME}=${token}`;
    const proxied = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'omni.example.org' };
    expect(await upgrade({ Cookie, Origin: 'https://omni.example.org', ...proxied })).toBe(101);
    expect(await upgrade({ Cookie, Origin: 'http://omni.example.org', ...proxied })).toBe(401);
  });

  test('a header needs no origin', async () => {
    expect(await upgrade({ Authorization: `Bearer ${token}` })).toBe(101);
  });
});
