import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { RedisServer } from '../setup/redis.ts';
import { TcpProxy } from '../setup/tcp-proxy.ts';
import { Traffic } from '../setup/traffic.ts';
import { until } from '../setup/until.ts';

/** The contract's number, and what a loaded machine may add to an answer that is on its way. */
const BOUND = 3_000;

let server: RedisServer;
let proxy: TcpProxy;
let platform: Platform;
let gateway: Gateway;
let url: string;

beforeAll(async () => {
  server = await RedisServer.start();
  proxy = await TcpProxy.start(server.port);
  platform = await startPlatform();
  gateway = await Gateway.start({
    ...platform.env,
    REDIS_URL: `redis://127.0.0.1:${proxy.port}`,
    WORKERS: '2',
    AUDIT_MODE: 'off',
    // Long enough that background questions cannot be what finds a revocation out.
    IDENTITY_REFRESH: '60',
  });
  url = `${gateway.url}/api/lims/x`;
});
afterAll(async () => {
  await gateway.stop();
  await platform.close();
  await proxy.close();
  await server.close();
});
beforeEach(() => until(async () => (await channel()) === 'live'));
afterEach(async () => {
  server.signal('SIGCONT');
  proxy.delay = 0;
  proxy.recover();
});

const issue = () => platform.iam.issue(USERS.scientist);
const status = async (token: string) => (await ask(url, { token })).status;
/** Lookups that Redis answered. */
const answered = async () => Number(/tier="l2",result="miss"\} (\d+)/.exec(await gateway.metrics())?.[1]);
const channel = async () => (await ask(`${gateway.adminUrl}/ready`)).json.revocations;

/** Something breaks; then a token is revoked and announced to nobody who can hear it. */
async function acceptedAfter(fault: () => Promise<void> | void): Promise<number> {
  const token = await issue();
  const traffic = new Traffic(url, token, 4, { pause: 5 });
  await until(() => traffic.count(200) > 50);
  await fault();
  platform.iam.revoke(token);
  const revokedAt = Date.now();
  // Longer than the bound, so that a token accepted again afterwards would show.
  await until(() => Date.now() - revokedAt > BOUND * 1.5);
  await traffic.stop();
  expect([...traffic.statuses.keys()].filter((one) => one !== 200 && one !== 401)).toEqual([]);
  return traffic.lastAccepted - revokedAt;
}

/** New callers get in, and nobody waits for Redis longer than a command may take. */
async function newcomersGetIn(): Promise<void> {
  for (let i = 0; i < 5; i++) expect(await status(await issue())).toBe(200);
}

describe('within the bound, whatever befalls Redis', () => {
  test('it hangs', async () => {
    expect(await acceptedAfter(() => server.signal('SIGSTOP'))).toBeLessThan(BOUND);
    await newcomersGetIn();
  });

  test('it is killed', async () => {
    expect(await acceptedAfter(() => server.down())).toBeLessThan(BOUND);
    await newcomersGetIn();
    await server.up();
  });

  test('it is restarted empty at once, and the message goes by meanwhile', async () => {
    const taken = await acceptedAfter(async () => {
      await server.down();
      await server.up();
    });
    expect(taken).toBeLessThan(BOUND);
  });

  test('its connections fall silent without an end', async () => {
    expect(await acceptedAfter(() => proxy.silence())).toBeLessThan(BOUND);
    await newcomersGetIn();
    proxy.recover();
    await until(async () => {
      const before = await answered();
      await status(await issue());
      return (await answered()) > before;
    });
  });

  test('its connections are cut again and again', async () => {
    const timer = setInterval(() => proxy.cut(), 100);
    expect(await acceptedAfter(() => proxy.cut())).toBeLessThan(BOUND);
    await newcomersGetIn();
    clearInterval(timer);
  });

  test('it takes 200 ms for every command', async () => {
    const taken = await acceptedAfter(() => {
      proxy.delay = 200;
    });
    expect(taken).toBeLessThan(BOUND);
    await newcomersGetIn();
  });
});

describe('Redis refuses', () => {
  const admin = async (...commands: readonly (readonly string[])[]) => {
    const redis = new Redis(server.url);
    for (const [name = '', ...rest] of commands) await redis.call(name, ...rest);
    redis.disconnect();
  };

  test('writes, as a read-only replica: a record it cannot outdate is not trusted', async () => {
    const token = await issue();
    expect(await status(token)).toBe(200);
    const primary = await RedisServer.start();
    await admin(['REPLICAOF', '127.0.0.1', String(primary.port)]);
    await until(async () => (await channel()) === 'live');
    const redis = new Redis(primary.url);
    platform.iam.revoke(token);
    await until(async () => String(await redis.client('LIST')).includes('cmd=replconf'));
    await redis.publish('policy:invalidate', JSON.stringify({ user_id: '1' }));
    await until(async () => (await status(token)) === 401, BOUND);
    await newcomersGetIn();
    redis.disconnect();
    await admin(['REPLICAOF', 'NO', 'ONE']);
    await primary.close();
  });

  test('writes, being full', async () => {
    await admin(['CONFIG', 'SET', 'maxmemory', '1']);
    const token = await issue();
    expect(await status(token)).toBe(200);
    await newcomersGetIn();
    platform.iam.revoke(token);
    await admin(['PUBLISH', 'policy:invalidate', JSON.stringify({ user_id: '1' })]);
    await until(async () => (await status(token)) === 401, BOUND);
    await admin(['CONFIG', 'SET', 'maxmemory', '0']);
  });

  test('client tracking by its ACL: degraded, said so, and messages still count', async () => {
    await admin(['ACL', 'SETUSER', 'default', '-client|tracking']);
    proxy.cut();
    await until(async () => (await channel()) === 'degraded');
    const token = await issue();
    expect(await status(token)).toBe(200);
    platform.iam.revoke(token);
    await admin(['PUBLISH', 'policy:invalidate', JSON.stringify({ user_id: '1' })]);
    await until(async () => (await status(token)) === 401, 1_000);
    await admin(['ACL', 'SETUSER', 'default', '+@all']);
    proxy.cut();
  });

  test('the password: everything goes on through IAM, and recovers by itself', async () => {
    await admin(['CONFIG', 'SET', 'requirepass', 'another']);
    proxy.cut();
    await until(async () => (await channel()) === 'down');
    await newcomersGetIn();
    const redis = new Redis(server.url, { password: 'another' });
    await redis.config('SET', 'requirepass', '');
    redis.disconnect();
    await until(async () => (await channel()) === 'live');
  });
});

test('nothing that did not answer lets a request pass: Redis hangs and IAM is dead', async () => {
  const token = await issue();
  server.signal('SIGSTOP');
  platform.iam.service.fault = () => 'reset';
  expect(await status(token)).toBe(401);
  platform.iam.service.fault = () => undefined;
});
