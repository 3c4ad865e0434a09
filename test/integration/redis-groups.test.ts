import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { startCluster, startSentinelGroup } from '../setup/redis-groups.ts';
import { Traffic } from '../setup/traffic.ts';
import { until } from '../setup/until.ts';

const BOUND = 3_000;
const AT_ONCE = 500;

describe.each([
  ['a cluster of three processes', startCluster],
  ['a sentinel group', startSentinelGroup],
] as const)('with %s', (_name, start) => {
  let group: Awaited<ReturnType<typeof start>>;
  let platform: Platform;
  let gateway: Gateway;
  let url: string;

  beforeAll(async () => {
    group = await start();
    platform = await startPlatform({ redisUrl: group.url });
    gateway = await Gateway.start({
      ...platform.env,
      WORKERS: '2',
      IDENTITY_REFRESH: '60',
      AUDIT_MODE: 'off',
    });
    url = `${gateway.url}/api/lims/x`;
    await live();
  });
  afterAll(async () => {
    await gateway.stop();
    await platform.close();
    await group.close();
  });

  // A sentinel on a loaded machine takes its time to believe its clock again (tilt mode, 30 s).
  const live = () =>
    until(async () => {
      const { json } = await ask(`${gateway.adminUrl}/ready`);
      return json.revocations === 'live' && json.redis === 'ready';
    }, 60_000);
  const issue = (claims = {}) => platform.iam.issue(USERS.scientist, claims);
  const status = async (token: string) => (await ask(url, { token })).status;

  test('workers share what they learn', async () => {
    // Different tokens fall on different slots.
    for (let i = 0; i < 10; i++) {
      const token = await issue();
      const asked = platform.iam.service.count('/auth/validate');
      // One worker learns it first, so that the other finds a record.
      await status(token);
      const answers = await Promise.all(Array.from({ length: 20 }, () => status(token)));
      expect(new Set(answers)).toEqual(new Set([200]));
      // One or two; more only where a busy machine makes a command time out.
      expect(platform.iam.service.count('/auth/validate') - asked).toBeLessThan(10);
    }
    expect(await gateway.metrics()).toMatch(/cache="identity",tier="l2",result="hit"\} [1-9]/);
  });

  test('a logout is in force at once, whichever node holds the token’s keys', async () => {
    for (let i = 0; i < 8; i++) {
      const [access, refresh] = [await issue(), await issue({ type: 'refresh' })];
      const traffic = new Traffic(url, access, 4);
      await until(() => traffic.count(200) > 20);
      await platform.iam.logout(refresh, access);
      const revokedAt = Date.now();
      await until(() => traffic.count(401) > 20);
      await traffic.stop();
      expect(traffic.lastAccepted - revokedAt).toBeLessThan(AT_ONCE);
    }
  });

  test('through the loss of a node, the bound holds and new callers get in', async () => {
    const token = await issue();
    const traffic = new Traffic(url, token, 4, { pause: 5 });
    await until(() => traffic.count(200) > 20);
    await ('nodes' in group ? group.nodes[1] : group.master)?.down();
    platform.iam.revoke(token);
    const revokedAt = Date.now();
    await until(() => Date.now() - revokedAt > BOUND * 1.3);
    await traffic.stop();
    expect(traffic.lastAccepted - revokedAt).toBeLessThan(BOUND);
    for (let i = 0; i < 5; i++) expect(await status(await issue())).toBe(200);
  });

  test('it recovers by itself', async () => {
    // The sentinel has promoted the replica; the cluster's node comes back empty and takes its slots again.
    if ('nodes' in group) await group.nodes[1]?.up();
    await live();
    const [access, refresh] = [await issue(), await issue({ type: 'refresh' })];
    expect(await status(access)).toBe(200);
    // The group itself may still refuse commands for a moment.
    await until(() =>
      platform.iam.logout(refresh, access).then(
        () => true,
        () => false,
      ),
    );
    await until(async () => (await status(access)) === 401, AT_ONCE);
  }, 90_000);
});
