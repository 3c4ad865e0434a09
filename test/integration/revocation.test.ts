import { createHmac, hash } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { RedisServer } from '../setup/redis.ts';
import { Traffic } from '../setup/traffic.ts';
import { until } from '../setup/until.ts';

/** Everywhere at once, as the contract has it, within so many milliseconds when nothing is broken. */
const AT_ONCE = 500;
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
  gateway = await Gateway.start({ ...platform.env, WORKERS: '3', IDENTITY_REFRESH: String(REFRESH / 1000) });
  url = `${gateway.url}/api/lims/x`;
  await until(async () => {
    const { json } = await ask(`${gateway.adminUrl}/ready`);
    return json.revocations === 'live' && (json.workers as { accepting: number }).accepting === 3;
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
  platform.iam.service.latency = 0;
  platform.iam.service.calls.length = 0;
});

const session = async () => ({
  access: await platform.iam.issue(USERS.scientist),
  refresh: await platform.iam.issue(USERS.scientist, { type: 'refresh' }),
});
const publish = (message: unknown) =>
  redis.publish('policy:invalidate', typeof message === 'string' ? message : JSON.stringify(message));
const status = async (token: string) => (await ask(url, { token })).status;

/** Runs traffic with a token, does something to it, and tells how long it was accepted afterwards. */
async function acceptedAfter(token: string, revoke: () => Promise<unknown> | unknown): Promise<number> {
  const traffic = new Traffic(url, token);
  await until(() => traffic.count(200) > 50);
  await revoke();
  const revokedAt = Date.now();
  await until(() => traffic.count(401) > 200);
  await traffic.stop();
  return traffic.lastAccepted - revokedAt;
}

describe('out everywhere at once', () => {
  test('after a logout, while the user’s other sessions go on', async () => {
    const other = (await session()).access;
    for (let trial = 0; trial < 10; trial++) {
      const { access, refresh } = await session();
      expect(await acceptedAfter(access, () => platform.iam.logout(refresh, access))).toBeLessThan(AT_ONCE);
    }
    expect(await status(other)).toBe(200);
  });

  test('when only the blacklist names the token (SAML logout publishes nothing)', async () => {
    const { access } = await session();
    const { jti } = JSON.parse(Buffer.from(access.split('.')[1] ?? '', 'base64url').toString());
    // IAM still says yes: the key alone must be enough.
    expect(await acceptedAfter(access, () => redis.setex(`blacklist:jti:${jti}`, 60, '1'))).toBeLessThan(
      AT_ONCE,
    );
  });

  test('when only IAM knows and the message names the user in one way or another', async () => {
    const messages = [
      () => ({ user_id: '1' }),
      () => ({ user_id: 1, token: null }),
      (access: string) => ({ user_id: '', token: access }),
      (access: string) => ({ token: access }),
    ];
    for (const message of messages) {
      const { access } = await session();
      const taken = await acceptedAfter(access, () => {
        platform.iam.revoke(access);
        return publish(message(access));
      });
      expect(taken).toBeLessThan(AT_ONCE);
    }
  });

  test('within IDENTITY_REFRESH and a second when nobody announces a suspension', async () => {
    const { access } = await session();
    const taken = await acceptedAfter(access, () => platform.iam.suspend(1));
    platform.iam.reinstate(1);
    expect(taken).toBeLessThan(REFRESH + 1_000);
  });

  test('when the token was not in use at the time of the suspension', async () => {
    const { access } = await session();
    expect(await status(access)).toBe(200);
    const knownAt = Date.now();
    platform.iam.suspend(1);
    await until(() => Date.now() - knownAt > REFRESH);
    expect(await status(access)).toBe(401);
    platform.iam.reinstate(1);
  });
});

describe('what overtakes a fill', () => {
  test('an answer that IAM gave before the logout is neither served nor kept', async () => {
    const { access, refresh } = await session();
    platform.iam.service.latency = 400;
    const filling = Array.from({ length: 6 }, () => status(access));
    // The answer, a yes, is on its way when the message overtakes it.
    await until(() => platform.iam.service.count('/auth/validate') > 0);
    await platform.iam.logout(refresh, access);
    expect(await Promise.all(filling)).toEqual(Array(6).fill(401));
    expect(await status(access)).toBe(401);
  });

  test('a message without a revocation asks again and refuses nobody', async () => {
    const { access } = await session();
    const traffic = new Traffic(url, access);
    await until(() => traffic.count(200) > 20);
    for (let i = 0; i < 20; i++) await publish({ user_id: '1', token: '' });
    const before = traffic.count(200);
    await until(() => traffic.count(200) > before + 100);
    await traffic.stop();
    expect([...traffic.statuses.keys()]).toEqual([200]);
  });

  test('malformed messages are counted and change nothing', async () => {
    const { access } = await session();
    expect(await status(access)).toBe(200);
    const asked = platform.iam.service.count('/auth/validate');
    for (const message of ['', 'nonsense', '[]', '{}', '{"user_id":{}}', '{"user_id":"","token":""}']) {
      await publish(message);
    }
    await until(async () =>
      /gateway_revocation_messages_total\{kind="malformed"\} 1[89]\b/.test(await gateway.metrics()),
    );
    expect(await status(access)).toBe(200);
    expect(platform.iam.service.count('/auth/validate')).toBe(asked);
  });
});

describe('records in Redis', () => {
  const digest = (token: string) => hash('sha256', token);
  const recordOf = async (token: string) => {
    const keys = await redis.keys(`gateway:*:identity:${digest(token)}`);
    return keys[0] ?? '';
  };

  test('spare IAM the question of another worker, and hold no token', async () => {
    const { access } = await session();
    const answers = await Promise.all(Array.from({ length: 30 }, () => status(access)));
    expect(new Set(answers)).toEqual(new Set([200]));
    expect(platform.iam.service.count('/auth/validate')).toBeLessThanOrEqual(3);
    await until(async () => (await recordOf(access)) !== '');
    const everything = (await redis.keys('*')).join() + (await redis.get(await recordOf(access)));
    expect(everything).not.toContain(access);
    expect(everything).not.toContain(access.split('.')[2]);
    expect(await redis.pttl(await recordOf(access))).toBeLessThanOrEqual(300_000);
  });

  test('that somebody else wrote, moved or changed are misses and counted', async () => {
    const { access } = await session();
    const { access: victim } = await session();
    expect(await status(access)).toBe(200);
    await until(async () => (await recordOf(access)) !== '');
    const genuine = (await redis.get(await recordOf(access))) ?? '';
    const forgeries = [
      genuine.replace('"userId":"1"', '"userId":"7"'),
      createHmac('sha256', 'guess').update(genuine).digest('base64url') + genuine.slice(43),
      genuine, // moved to another token's key
    ];
    const key = (await recordOf(access)).replace(digest(access), digest(victim));
    for (const forgery of forgeries) {
      await redis.set(key, forgery);
      platform.iam.revoke(victim);
      expect(await status(victim)).toBe(401);
    }
    expect(await gateway.metrics()).toMatch(/cache="identity",tier="l2",result="forged"\} [1-9]/);
  });
});

test('a dead IAM costs known callers nothing and unknown ones no wait', async () => {
  const { access } = await session();
  expect(await status(access)).toBe(200);
  platform.iam.service.fault = () => 'reset';
  const traffic = new Traffic(url, access, 4, { pause: 5 });
  const startedAt = Date.now();
  await until(() => Date.now() - startedAt > REFRESH * 1.5);
  await traffic.stop();
  expect([...traffic.statuses.keys()]).toEqual([200]);

  const strangers = await Promise.all(
    Array.from({ length: 60 }, async () => status((await session()).access)),
  );
  expect(new Set(strangers)).toEqual(new Set([401]));
  await until(async () =>
    /gateway_platform_breaker_open\{engine="iam"\} [1-3]/.test(await gateway.metrics()),
  );
  const asked = platform.iam.service.count('/auth/validate');
  for (let i = 0; i < 30; i++) expect(await status((await session()).access)).toBe(401);
  // Each of three workers probes once a second; without the breaker there would be sixty questions.
  expect(platform.iam.service.count('/auth/validate') - asked).toBeLessThan(20);
  platform.iam.service.fault = () => undefined;
  await until(async () => (await status((await session()).access)) === 200);
});
