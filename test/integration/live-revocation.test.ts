import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { RedisServer } from '../setup/redis.ts';
import { until } from '../setup/until.ts';
import { Upstream } from '../setup/upstream.ts';

const BOUND = 3_000;

let server: RedisServer;
let redis: Redis;
let platform: Platform;
let upstream: Upstream;
let gateway: Gateway;
let received: number;
let upstreamClosed: boolean;

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new Redis(server.url);
  platform = await startPlatform({ redisUrl: server.url });
  upstream = await Upstream.start();
  gateway = await Gateway.start({ ...platform.env, LIMS_URL: upstream.url, LIVE_GRACE: '4' });
  await until(async () => (await ask(`${gateway.adminUrl}/ready`)).json.revocations === 'live');
});
afterAll(async () => {
  await gateway.stop();
  await upstream.close();
  redis.disconnect();
  await platform.close();
  await server.close();
});
beforeEach(() => {
  received = 0;
  upstreamClosed = false;
  upstream.handler = (message, response) => {
    response.on('close', () => {
      upstreamClosed = true;
    });
    message.on('data', (chunk) => {
      received += chunk.length;
    });
    if (message.method === 'POST') return; // an upload is answered once it is whole
    const type = message.url === '/events' ? 'text/event-stream' : 'application/octet-stream';
    response.writeHead(200, { 'content-type': type });
    const timer = setInterval(() => response.write('data: x\n\n'), 20);
    response.on('close', () => clearInterval(timer));
  };
});

const session = async (claims = {}) => ({
  access: await platform.iam.issue(USERS.scientist, claims),
  refresh: await platform.iam.issue(USERS.scientist, { type: 'refresh' }),
});

function open(path: string, token: string, method = 'GET'): ClientRequest {
  const message = request(`${gateway.url}/api/lims${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
  });
  message.on('error', () => {}); // cut, as it should be
  return message;
}

/** Starts a download and gives the moment at which it broke. */
async function download(
  path: string,
  token: string,
): Promise<{ response: IncomingMessage; broken: Promise<number> }> {
  const message = open(path, token);
  message.end();
  const [response] = (await once(message, 'response')) as [IncomingMessage];
  response.resume();
  // An end would resolve nothing: the answer must be cut, so that its reader knows it is not whole.
  const broken = new Promise<number>((resolve) => response.on('error', () => resolve(Date.now())));
  await once(response, 'data');
  return { response, broken };
}

async function lastReason(): Promise<unknown> {
  const [entry] = await redis.xrevrange('audit:events', '+', '-', 'COUNT', 1);
  return JSON.parse(entry?.[1][1] ?? '{}').reason;
}

test.each(['/events', '/file'])('%s ends with the logout, and the service is told', async (path) => {
  const { access, refresh } = await session();
  const { broken } = await download(path, access);
  await platform.iam.logout(refresh, access);
  const revokedAt = Date.now();
  expect((await broken) - revokedAt).toBeLessThan(BOUND);
  await until(() => upstreamClosed, 1_000);
  await until(async () => (await lastReason()) === 'revoked');
});

test('an upload ends with the logout, told so, before the service has it whole', async () => {
  const { access, refresh } = await session();
  const message = open('/upload', access, 'POST');
  const timer = setInterval(() => message.write(Buffer.alloc(1024)), 10);
  await until(() => received > 5 * 1024);
  await platform.iam.logout(refresh, access);
  const [response] = (await once(message, 'response')) as [IncomingMessage];
  expect(response.statusCode).toBe(401);
  await until(() => upstreamClosed, 1_000);
  clearInterval(timer);
  message.destroy();
  await until(async () => (await lastReason()) === 'revoked');
});

test('a suspension nobody announced ends it within IDENTITY_REFRESH and the bound', async () => {
  const own = await Gateway.start({ ...platform.env, LIMS_URL: upstream.url, IDENTITY_REFRESH: '1' });
  const message = request(`${own.url}/api/lims/events`, {
    headers: { authorization: `Bearer ${(await session()).access}` },
  }).end();
  const [response] = (await once(message, 'response')) as [IncomingMessage];
  const broken = once(response.resume(), 'error');
  platform.iam.suspend(1);
  await broken;
  platform.iam.reinstate(1);
  await own.stop();
});

test('a message that revokes nothing cuts nothing', async () => {
  const { access } = await session();
  const { response } = await download('/events', access);
  const asked = platform.iam.service.count('/auth/validate');
  await redis.publish('policy:invalidate', JSON.stringify({ user_id: '1', token: '' }));
  await until(() => platform.iam.service.count('/auth/validate') > asked);
  await once(response, 'data');
  await once(response, 'data');
  expect(response.destroyed).toBe(false);
  response.destroy();
});

test('with the message heard and IAM silent, doubt ends it within the bound', async () => {
  const { access } = await session();
  const { broken } = await download('/events', access);
  platform.iam.service.fault = (path) => (path === '/auth/validate' ? 'hang' : undefined);
  await redis.publish('policy:invalidate', JSON.stringify({ user_id: '1', token: '' }));
  const revokedAt = Date.now();
  expect((await broken) - revokedAt).toBeLessThan(BOUND);
  platform.iam.service.fault = () => undefined;
});

test('the token’s end ends a stream at once and an ordinary answer after the grace', async () => {
  const exp = Math.floor(Date.now() / 1000) + 3;
  const { access } = await session({ exp });
  const stream = await download('/events', access);
  const file = await download('/file', access);
  const streamEnd = await stream.broken;
  expect(streamEnd).toBeGreaterThanOrEqual(exp * 1000);
  expect(streamEnd).toBeLessThan(exp * 1000 + BOUND);
  await until(async () => (await lastReason()) === 'expired');
  expect(await file.broken).toBeGreaterThanOrEqual(exp * 1000 + 4_000);
});
