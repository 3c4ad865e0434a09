import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { arrivedTraceIds, auditEvents, auditFigures, expectedSignature } from '../setup/audit-events.ts';
import { Gateway } from '../setup/gateway.ts';
import { load } from '../setup/load.ts';
import { RedisServer } from '../setup/redis.ts';
import { until } from '../setup/until.ts';
import { Upstream } from '../setup/upstream.ts';

// A busy machine takes ten times as long as an idle one to start a gateway.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let platform: Platform;
let headers: Record<string, string>;

beforeAll(async () => {
  platform = await startPlatform();
  headers = { authorization: `Bearer ${await platform.iam.issue(USERS.scientist)}` };
});
afterAll(() => platform.close());

const KILLS = 4;

async function command(url: string, [name = '', ...args]: readonly string[]): Promise<void> {
  const redis = new Redis(url);
  await redis.call(name, ...args);
  redis.disconnect();
}

/** Pids of the workers that are or were. */
function workerPids(gateway: Gateway): number[] {
  return [...gateway.output.matchAll(/"workerPid":(\d+),"msg":"worker ready"/g)].map(([, pid]) =>
    Number(pid),
  );
}

test('what Redis had taken and lost is sent again: every event is there after an empty restart', async () => {
  const server = await RedisServer.start();
  const gateway = await Gateway.start({ ...platform.env, AUDIT_REDIS: server.url, WORKERS: '2' });
  const { statuses, traceIds } = await load(`${gateway.url}/api/lims/x`, {
    connections: 32,
    wanted: 6_000,
    headers,
    onAnswer: (count) => {
      if (count === 1_500) void server.down();
      if (count === 3_000) void server.up();
    },
  });
  expect(statuses).toEqual({ 200: 6_000 });
  await server.down();
  await server.up();
  await until(
    async () => new Set((await auditEvents(server.url)).map(({ event }) => event.event_id)).size === 6_000,
  );
  const entries = await auditEvents(server.url);
  for (const { data, sig } of entries)
    expect(sig).toBe(expectedSignature(data, platform.env.JWT_SECRET ?? ''));
  expect(new Set(entries.map(({ event }) => event.trace_id))).toEqual(new Set(traceIds));
  const figures = auditFigures(await gateway.metrics());
  expect(figures['events_total.accepted']).toBe(6_000);
  expect(figures['events_total.dropped']).toBe(0);
  expect(await gateway.stop()).toBe(0);
  await server.close();
});

// What Redis may refuse, and how it comes round again; null: it never does, and the gateway finds another way.
test.each<[string, string[], string[] | null]>([
  ['takes no scripts', ['ACL', 'SETUSER', 'default', '-eval', '-evalsha'], null],
  ['is full', ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']],
  ['only reads', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
  ['forbids the stream', ['ACL', 'SETUSER', 'default', '-xadd'], ['ACL', 'SETUSER', 'default', '+xadd']],
])('a Redis that %s loses no event', async (_what, fault, remedy) => {
  const server = await RedisServer.start();
  const gateway = await Gateway.start({ ...platform.env, AUDIT_REDIS: server.url, WORKERS: '1' });
  await command(server.url, fault);
  const { statuses } = await load(`${gateway.url}/api/lims/x`, { connections: 8, wanted: 400, headers });
  expect(statuses).toEqual({ 200: 400 });
  if (remedy !== null) {
    await until(async () => auditFigures(await gateway.metrics())['backlog_events.disk'] === 400);
    await command(server.url, remedy);
  }
  await until(async () => (await auditEvents(server.url)).length >= 400);
  const entries = await auditEvents(server.url);
  expect(new Set(entries.map(({ event }) => event.event_id)).size).toBe(400);
  for (const { data, sig } of entries)
    expect(sig).toBe(expectedSignature(data, platform.env.JWT_SECRET ?? ''));
  expect(await gateway.stop()).toBe(0);
  await server.close();
});

for (const { mode, bound } of [
  // An interval's worth of requests for each kill, with room for a machine that is busy with other things.
  { mode: 'async', bound: 200 },
  { mode: 'strict', bound: 0 },
]) {
  test(`workers killed under load, AUDIT_MODE=${mode}: no kill loses more than ${bound} events`, async () => {
    const server = await RedisServer.start();
    const STATE_DIR = mkdtempSync(join(tmpdir(), 'gateway-killed-'));
    const env = { ...platform.env, STATE_DIR, AUDIT_REDIS: server.url, AUDIT_MODE: mode };
    const gateway = await Gateway.start({ ...env, WORKERS: '2' });
    const stop = new AbortController();
    const loading = load(`${gateway.url}/api/lims/x`, { connections: 16, headers, stop: stop.signal });
    let kills = 0;
    while (kills < KILLS) {
      await until(() => workerPids(gateway).length === 2 + kills, 60_000);
      await new Promise((resolve) => setTimeout(resolve, 1_000)); // under load meanwhile
      process.kill(workerPids(gateway).at(-2) ?? 0, 'SIGKILL');
      kills++;
    }
    stop.abort();
    const { traceIds } = await loading;
    expect(await gateway.stop()).toBe(0);
    const lost = async () => {
      const arrived = await arrivedTraceIds(server.url);
      return traceIds.filter((id) => !arrived.has(id)).length;
    };
    // What could not be shipped in the time there was is left to the next start.
    const next = await Gateway.start(env);
    await until(async () => (await lost()) <= kills * bound);
    expect(await next.stop()).toBe(0);
    expect(await lost()).toBeLessThanOrEqual(kills * bound);
    rmSync(STATE_DIR, { recursive: true });
    await server.close();
  });
}

test('AUDIT_MODE=strict: what killed workers had promised is shipped by the fewer that follow them', async () => {
  const server = await RedisServer.start();
  const upstream = await Upstream.start();
  upstream.handler = (request, response) => {
    if (request.url?.endsWith('/endless')) response.write('begun');
    else response.end();
  };
  const STATE_DIR = mkdtempSync(join(tmpdir(), 'gateway-killed-'));
  const env = {
    ...platform.env,
    STATE_DIR,
    LIMS_URL: upstream.url,
    AUDIT_REDIS: server.url,
    AUDIT_MODE: 'strict',
  };
  const gateway = await Gateway.start({ ...env, WORKERS: '4' });
  const endless = await Promise.all(
    Array.from({ length: 16 }, () => fetch(`${gateway.url}/api/lims/endless`, { headers })),
  );
  const eventsOf = async (path: string) =>
    (await auditEvents(server.url)).map(({ event }) => event).filter(({ endpoint }) => endpoint === path);
  // The stream acknowledges events from behind the promises, on whichever worker they are.
  const { statuses } = await load(`${gateway.url}/api/lims/x`, { connections: 32, wanted: 200, headers });
  expect(statuses).toEqual({ 200: 200 });
  await until(async () => (await eventsOf('/api/lims/x')).length === 200);
  gateway.process.kill('SIGKILL');
  for (const pid of workerPids(gateway)) process.kill(pid, 'SIGKILL');
  const next = await Gateway.start({ ...env, WORKERS: '1' });
  await until(async () => (await eventsOf('/api/lims/endless')).length === endless.length);
  const promised = await eventsOf('/api/lims/endless');
  expect(new Set(promised.map(({ trace_id }) => trace_id))).toEqual(
    new Set(endless.map((answer) => answer.headers.get('x-trace-id'))),
  );
  expect(new Set(promised.map(({ context }) => context.outcome))).toEqual(new Set(['unknown']));
  expect(await next.stop()).toBe(0);
  expect(await gateway.stop()).toBe(null);
  for (const answer of endless) await answer.body?.cancel().catch(() => {}); // cut off
  await upstream.close();
  await server.close();
  rmSync(STATE_DIR, { recursive: true });
});
