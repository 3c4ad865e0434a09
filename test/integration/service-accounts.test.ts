import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { accountClaims } from '../setup/jws.ts';
import { RedisServer } from '../setup/redis.ts';
import { until } from '../setup/until.ts';

let server: RedisServer;
let redis: Redis;
let platform: Platform;
let gateway: Gateway;

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new Redis(server.url, { maxRetriesPerRequest: null });
  redis.on('error', () => {}); // the server is stopped on purpose
  platform = await startPlatform({ redisUrl: server.url });
  gateway = await Gateway.start({ ...platform.env, SERVICE_ACCOUNTS: 'on' });
});
afterAll(async () => {
  await gateway.stop();
  redis.disconnect();
  await platform.close();
  await server.close();
});
beforeEach(() => {
  platform.iam.service.calls.length = 0;
});

const issue = (overrides = {}, alg: 'HS256' | 'RS256' = 'HS256') =>
  platform.iam.sign(accountClaims(overrides), alg);

test('an account is who its token says, without a question to IAM', async () => {
  for (const alg of ['HS256', 'RS256'] as const) {
    const answer = await ask(`${gateway.url}/auth/verify`, { token: await issue({}, alg) });
    expect([answer.status, answer.json]).toEqual([200, { authenticated: true, user: { id: '', roles: [] } }]);
    expect(answer.headers).toMatchObject({
      'x-user-id': '',
      'x-client-id': 'pipeline-bot',
      'x-organization-id': '10',
      'x-permissions': 'workflow.execute,dataset.read',
      'x-token-type': 'service',
    });
  }
  expect(platform.iam.service.count('/auth/validate')).toBe(0);
});

test('policy is asked about its scopes', async () => {
  platform.policy.calls.length = 0;
  await ask(`${gateway.url}/api/tes/v1/tasks`, { token: await issue() });
  expect(platform.policy.calls[0]?.body).toMatchObject({
    user_id: '',
    roles: [],
    permissions: ['workflow.execute', 'dataset.read'],
    org_id: '10',
  });
});

test('the blacklist is the only revocation there is, so it counts, and without it nobody passes', async () => {
  const jti = randomUUID();
  const revoked = await issue({ jti });
  await redis.setex(`blacklist:jti:${jti}`, 60, '1');
  expect((await ask(`${gateway.url}/auth/verify`, { token: revoked })).status).toBe(401);

  server.signal('SIGSTOP');
  const token = await issue();
  const answer = await ask(`${gateway.url}/auth/verify`, { token });
  expect([answer.status, answer.json.reason]).toEqual([401, 'iam_unavailable']);
  server.signal('SIGCONT');
  await until(async () => (await ask(`${gateway.url}/auth/verify`, { token })).status === 200);
});
