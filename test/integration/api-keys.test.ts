import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Fault } from '../../src/sandbox/http-service.ts';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { RedisServer } from '../setup/redis.ts';
import { Traffic } from '../setup/traffic.ts';
import { until } from '../setup/until.ts';

const REFRESH = 2_000;

let server: RedisServer;
let redis: Redis;
let platform: Platform;
let gateway: Gateway;
let url: string;

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new Redis(server.url);
  platform = await startPlatform({ redisUrl: server.url });
  gateway = await Gateway.start({
    ...platform.env,
    WORKERS: '2',
    IAM_TIMEOUT: '0.5',
    IDENTITY_REFRESH: String(REFRESH / 1000),
  });
  url = `${gateway.url}/api/lims/x`;
  await until(async () => {
    const { json } = await ask(`${gateway.adminUrl}/ready`);
    return json.revocations === 'live' && (json.workers as { accepting: number }).accepting === 2;
  });
});
afterAll(async () => {
  await gateway.stop();
  redis.disconnect();
  await platform.close();
  await server.close();
});
beforeEach(() => {
  platform.iam.service.fault = () => undefined;
  platform.iam.service.calls.length = 0;
});

const exchanges = () => platform.iam.service.count('/auth/api-keys/exchange');
const failing = (fault: Fault) => (path: string) => (path === '/auth/api-keys/exchange' ? fault : undefined);
const refused = { error: 'invalid api key', trace_id: expect.any(String) };

test('the service sees the user, the key’s id and the exchanged token, never the key', async () => {
  const token = platform.iam.createApiKey(USERS.scientist);
  const { status, json } = await ask(url, { token });
  expect(status).toBe(200);
  const headers = json.headers as Record<string, string>;
  expect(headers).toMatchObject({
    'x-user-id': '1',
    'x-organization-id': '10',
    'x-client-id': expect.stringMatching(/^api_key:\d+$/),
    'x-token-type': 'api_key',
    authorization: expect.stringMatching(/^Bearer ey/),
  });
  expect(JSON.stringify(json)).not.toContain(token);

  // Whoever presents the exchanged token itself is a user, not the key.
  const [, exchanged = ''] = String(headers.authorization).split(' ');
  const itself = await ask(`${gateway.url}/auth/verify`, { token: exchanged });
  expect(itself.headers['x-token-type']).toBe('user');
});

test('a key is exchanged once per worker, however many ask at once, and is not in Redis', async () => {
  const token = platform.iam.createApiKey(USERS.scientist);
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(url, { token })));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  expect(exchanges()).toBeLessThanOrEqual(2);
  for (const key of await redis.keys('*')) {
    const value = (await redis.type(key)) === 'string' ? await redis.get(key) : '';
    expect(`${key} ${value}`).not.toMatch(/omni_sk|eyJ/);
  }
});

test('a revoked key is out everywhere at once', async () => {
  for (let trial = 0; trial < 5; trial++) {
    const token = platform.iam.createApiKey(USERS.scientist);
    const traffic = new Traffic(url, token);
    await until(() => traffic.count(200) > 50);
    await platform.iam.revokeApiKey(token);
    const revokedAt = Date.now();
    await until(() => traffic.count(401) > 200);
    await traffic.stop();
    expect(traffic.lastAccepted - revokedAt).toBeLessThan(500);
  }
});

test('a suspended user’s key is out within IDENTITY_REFRESH and a second, unannounced', async () => {
  const token = platform.iam.createApiKey(USERS.viewer);
  const traffic = new Traffic(url, token);
  await until(() => traffic.count(200) > 50);
  platform.iam.suspend(USERS.viewer.id);
  const suspendedAt = Date.now();
  await until(() => traffic.count(401) > 200);
  await traffic.stop();
  platform.iam.reinstate(USERS.viewer.id);
  expect(traffic.lastAccepted - suspendedAt).toBeLessThan(REFRESH + 1_000);
});

test('in use, a key is exchanged again in the background and nobody is refused', async () => {
  const token = platform.iam.createApiKey(USERS.scientist);
  const traffic = new Traffic(url, token);
  await until(() => exchanges() > 4);
  await traffic.stop();
  expect(traffic.count(401)).toBe(0);
});

test('an open stream of a revoked key is cut', async () => {
  const token = platform.iam.createApiKey(USERS.scientist);
  const stream = await fetch(`${gateway.url}/api/rag/logs?lines=1000&interval=100`, {
    headers: { authorization: `Bearer ${token}` },
  });
  expect(stream.status).toBe(200);
  await platform.iam.revokeApiKey(token);
  await expect(stream.text()).rejects.toThrow();
});

describe('refused', () => {
  test('are unknown keys, remembered for a moment', async () => {
    const token = 'omni_sk_live_unknown';
    for (let i = 0; i < 6; i++) {
      const answer = await ask(url, { token });
      expect([answer.status, answer.json]).toEqual([401, refused]);
    }
    expect(exchanges()).toBeLessThanOrEqual(2);
    await until(async () => {
      const events = await redis.xrange('audit:events', '-', '+');
      return events.some(([, [, data = '']]) => JSON.parse(data).reason === 'invalid_api_key');
    });
  });

  test('is what is too long to be a key, without a question', async () => {
    expect((await ask(url, { token: `omni_sk_${'a'.repeat(600)}` })).json).toEqual(refused);
    expect(exchanges()).toBe(0);
  });

  test.each([
    ['hangs', 'hang'],
    ['resets', 'reset'],
    ['answers 500', { status: 500, body: '{}' }],
    ['answers 403', { status: 403, body: '{}' }],
    ['answers HTML', { status: 200, body: '<html>' }],
    ['answers {}', { status: 200, body: '{}' }],
    ['forgets the id', { status: 200, body: '{"access_token":"x","expires_in":300}' }],
  ] as [string, Fault][])('are all while IAM %s, and none is remembered for it', async (_name, fault) => {
    const token = platform.iam.createApiKey(USERS.scientist);
    platform.iam.service.fault = failing(fault);
    expect((await ask(url, { token })).json).toEqual({ ...refused, reason: 'iam_unavailable' });
    platform.iam.service.fault = () => undefined;
    expect((await ask(url, { token })).status).toBe(200);
  });

  test('is a key whose token the gateway would refuse', async () => {
    const now = Math.floor(Date.now() / 1000);
    for (const overrides of [{ type: 'refresh' }, { exp: now - 60 }, { sub: undefined }]) {
      const access_token = await platform.iam.issue(USERS.scientist, overrides);
      const body = JSON.stringify({ access_token, expires_in: 300, api_key_id: 1 });
      platform.iam.service.fault = failing({ status: 200, body });
      const token = platform.iam.createApiKey(USERS.scientist);
      expect((await ask(url, { token })).json).toEqual(refused);
    }
  });

  test('is any key where the secret is not set', async () => {
    const { API_KEY_EXCHANGE_SECRET: _, ...env } = platform.env;
    const other = await Gateway.start(env);
    const token = platform.iam.createApiKey(USERS.scientist);
    expect((await ask(`${other.url}/api/lims/x`, { token })).json).toEqual(refused);
    expect(exchanges()).toBe(0);
    await other.stop();
  });
});

test('a token that lives as long as the margin is not kept', async () => {
  const token = platform.iam.createApiKey(USERS.scientist);
  const access_token = await platform.iam.issue(USERS.scientist);
  const body = JSON.stringify({ access_token, expires_in: 30, api_key_id: 'k' });
  platform.iam.service.fault = failing({ status: 200, body });
  for (let i = 0; i < 3; i++) {
    const before = exchanges();
    expect((await ask(url, { token })).status).toBe(200);
    expect(exchanges()).toBeGreaterThan(before);
  }
});
