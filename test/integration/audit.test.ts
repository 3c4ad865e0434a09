import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { auditEvents, auditFigures, expectedSignature } from '../setup/audit-events.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { exchangeRaw } from '../setup/raw.ts';
import { RedisServer } from '../setup/redis.ts';
import { until } from '../setup/until.ts';
import { Upstream } from '../setup/upstream.ts';
import { openSocket } from '../setup/websocket.ts';

// A busy machine takes ten times as long as an idle one to start a gateway.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let server: RedisServer;
let redis: Redis;
let platform: Platform;

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new Redis(server.url);
  platform = await startPlatform({ redisUrl: server.url });
});
afterAll(async () => {
  redis.disconnect();
  await platform.close();
  await server.close();
});

const entries = () => auditEvents(server.url);

test('each request makes one signed event, of the type its outcome has', async () => {
  await redis.del('audit:events');
  const gateway = await Gateway.start(platform.env);
  const scientist = await platform.iam.issue(USERS.scientist);
  await ask(`${gateway.url}/health`);
  await ask(`${gateway.url}/api/lims/x?token=hush&page=2`, { token: scientist });
  await ask(`${gateway.url}/api/lims/x`);
  await ask(`${gateway.url}/api/tes/x`, { token: await platform.iam.issue(USERS.viewer) });
  await ask(`${gateway.url}/api/tes/v1/tasks`, { token: scientist, json: { resources: { gpus: 1 } } });
  await ask(`${gateway.url}/api/lims//x`, { token: scientist });
  await exchangeRaw(gateway.port, 'nonsense\r\n\r\n');
  expect(await gateway.stop()).toBe(0);

  const found = await entries();
  for (const { data, sig } of found) expect(sig).toBe(expectedSignature(data, platform.env.JWT_SECRET ?? ''));
  expect(
    found.map(({ event }) => [event.event_type, event.status_code, event.decision, event.reason]),
  ).toEqual([
    ['request', 200, 'allow', null],
    ['auth_failed', 401, 'deny', 'missing_token'],
    ['policy_denied', 403, 'deny', 'missing permission workflow.execute'],
    ['hpc_denied', 403, 'deny', 'GPU access denied'],
    ['request', 400, 'deny', 'ambiguous_path'],
    ['request', 400, 'deny', 'malformed_request'],
  ]);
  expect(found[0]?.event).toMatchObject({
    user_id: '1',
    organization_id: '10',
    tenant_scope: 'organization',
    action: 'GET /api/lims/x',
    resource: '/lims/x',
    endpoint: '/api/lims/x',
    context: { query: 'token=***&page=2', client: '127.0.0.1', route: 'lims' },
  });
  expect(found.map(({ data }) => data).join()).not.toContain(scientist);
});

test('no request and no event is lost on an orderly stop under load', async () => {
  await redis.del('audit:events');
  const gateway = await Gateway.start({ ...platform.env, WORKERS: '2' });
  const token = await platform.iam.issue(USERS.scientist);
  let answered = 0;
  let stopping = false;
  const client = async () => {
    // Until the gateway refuses the connection; an answer that began must come whole.
    for (;;) {
      try {
        await ask(`${gateway.url}/api/lims/x`, { token });
        answered++;
      } catch (error) {
        if (stopping && (error as NodeJS.ErrnoException).code === 'ECONNREFUSED') return;
        throw error;
      }
    }
  };
  const clients = Array.from({ length: 16 }, client);
  await until(() => answered > 500);
  stopping = true;
  expect(await gateway.stop()).toBe(0);
  await Promise.all(clients);
  const ids = (await entries()).map(({ event }) => event.event_id);
  expect(new Set(ids).size).toBe(answered);
  expect(ids).toHaveLength(answered);
});

test('events outlive an outage of Redis, and what becomes of them adds up', async () => {
  const own = await RedisServer.start();
  const gateway = await Gateway.start({ ...platform.env, AUDIT_REDIS: own.url });
  const token = await platform.iam.issue(USERS.scientist);
  const figures = async () => auditFigures(await gateway.metrics());
  const send = (n: number) =>
    Promise.all(Array.from({ length: n }, () => ask(`${gateway.url}/api/lims/x`, { token })));
  await send(50);
  await until(async () => (await figures())['events_total.written'] === 50);
  await own.down();
  await send(40);
  await until(async () => (await figures())['events_total.spooled'] === 40);
  expect(sums(await figures())).toEqual({ accepted: 90, accountedFor: 90, spooled: 40, found: 40 });
  expect(await figures()).toMatchObject({ 'backlog_events.disk': 40, 'events_total.accepted': 90 });
  await until(async () => Number((await figures()).oldest_unsent_seconds) > 0);
  await own.up();
  await until(async () => (await figures())['events_total.replayed'] === 40);
  await send(7);
  await until(async () => (await figures())['events_total.written'] === 57);
  expect(sums(await figures())).toEqual({ accepted: 97, accountedFor: 97, spooled: 40, found: 40 });
  expect(await figures()).toMatchObject({
    'backlog_events.disk': 0,
    'backlog_events.memory': 0,
    oldest_unsent_seconds: 0,
    // The server came back empty: the first 50 were sent again.
    'events_total.resent': 50,
  });
  const { batch_events_sum: events, batch_events_count: batches } = await figures();
  expect(events).toBe(97 + 50);
  expect((await figures()).batch_duration_seconds_count).toBe(batches);
  expect(new Set((await auditEvents(own.url)).map(({ event }) => event.event_id)).size).toBe(97);
  expect(await gateway.stop()).toBe(0);
  await own.close();
});

/** Both sides of the two sums that hold for every worker. */
function sums(figures: Record<string, number>): Record<string, number> {
  const count = (name: string) => figures[`events_total.${name}`] ?? Number.NaN;
  const backlog = (where: string) => figures[`backlog_events.${where}`] ?? Number.NaN;
  return {
    accepted: count('accepted') + count('recovered'),
    accountedFor: count('written') + count('spooled') + count('dropped') + backlog('memory'),
    spooled: count('spooled') + count('adopted'),
    found: count('replayed') + count('unreadable') + backlog('disk'),
  };
}

test('in embedded mode the trail is a folder of lines, which a restart continues', async () => {
  const gateway = await Gateway.start({ ...platform.env, REDIS_URL: '' });
  await ask(`${gateway.url}/api/lims/x`);
  const path = join(gateway.stateDir, 'audit', 'worker-1', '00000001.log');
  const events = () =>
    readFileSync(path, 'latin1')
      .split('\n')
      .filter((line) => line.startsWith('e '))
      .map((line) => line.split(' ', 4).concat(line.slice(line.indexOf('{'))));
  await until(() => existsSync(path) && events().length === 1);
  const [[, length = '', , sig = '', data = ''] = []] = events();
  expect(JSON.parse(data)).toMatchObject({ event_type: 'auth_failed', reason: 'missing_token' });
  expect(sig).toBe(expectedSignature(data, platform.env.JWT_SECRET ?? ''));
  expect(Number.parseInt(length, 16)).toBe(sig.length + 1 + data.length);
  await gateway.stop();
});

test('the trail of one worker is a chain: each event names the one before by its digest', async () => {
  await redis.del('audit:events');
  const gateway = await Gateway.start(platform.env);
  for (let i = 0; i < 5; i++) await ask(`${gateway.url}/api/lims/x`);
  await until(async () => (await entries()).length === 5);
  process.kill(Number(/"workerPid":(\d+)/.exec(gateway.output)?.[1]), 'SIGKILL');
  await until(() => gateway.output.match(/worker ready/g)?.length === 2);
  await ask(`${gateway.url}/api/lims/x`);
  await gateway.stop();
  const found = await entries();
  const chains = found.map(
    ({ event }) => event.context.chain as { worker: string; seq: number; prev: string | null },
  );
  expect(chains.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 1]);
  expect(new Set(chains.map(({ worker }) => worker)).size).toBe(2);
  expect(chains.map(({ prev }) => prev)).toEqual([
    null,
    ...found.slice(0, -1).map(({ data }) => createHash('sha256').update(data).digest('hex')),
  ]);
});

test('an exception that ends a worker ends no event: what was under way is recorded too', async () => {
  await redis.del('audit:events');
  const faulty = join(mkdtempSync(join(tmpdir(), 'gateway-fault-')), 'fault.mjs');
  writeFileSync(faulty, 'process.on("SIGUSR2", () => { throw new Error("a fault in the code"); });');
  const gateway = await Gateway.start({ ...platform.env, NODE_OPTIONS: `--import=${faulty}` });
  const token = await platform.iam.issue(USERS.scientist);
  for (let i = 0; i < 20; i++) await ask(`${gateway.url}/api/lims/x`, { token });
  const slow = ask(`${gateway.url}/api/lims/slow?ms=20000`, { token });
  const broken = expect(slow).rejects.toThrow();
  await until(() => platform.policy.calls.some(({ body }) => JSON.stringify(body).includes('/lims/slow')));
  process.kill(Number(/"workerPid":(\d+)/.exec(gateway.output)?.[1]), 'SIGUSR2');
  await broken;
  await until(() => gateway.output.match(/worker ready/g)?.length === 2);
  expect(await gateway.stop()).toBe(0);
  // What was on its way to Redis may have arrived twice.
  const unique = new Map((await entries()).map(({ event }) => [event.event_id, event]));
  const reasons = [...unique.values()].map(({ endpoint, reason }) => [endpoint, reason]);
  expect(reasons.filter(([endpoint]) => endpoint === '/api/lims/x')).toHaveLength(20);
  expect(reasons).toContainEqual(['/api/lims/slow', 'incomplete']);
  rmSync(dirname(faulty), { recursive: true });
});

for (const [mode, signal, outcome] of [
  ['async', 'SIGUSR2', undefined],
  ['strict', 'SIGKILL', 'unknown'],
] as const) {
  test(`AUDIT_MODE=${mode}: a WebSocket has an event for its end even where ${signal} ends the worker`, async () => {
    await redis.del('audit:events');
    const upstream = await Upstream.start();
    upstream.accept((socket) => socket.send('hello'));
    const folder = mkdtempSync(join(tmpdir(), 'gateway-fault-'));
    const faulty = join(folder, 'fault.mjs');
    writeFileSync(faulty, 'process.on("SIGUSR2", () => { throw new Error("a fault in the code"); });');
    const gateway = await Gateway.start({
      ...platform.env,
      LIMS_URL: upstream.url,
      AUDIT_MODE: mode,
      NODE_OPTIONS: `--import=${faulty}`,
    });
    const socket = await openSocket(gateway, '/api/lims/ws', await platform.iam.issue(USERS.scientist));
    socket.on('error', () => {}); // of the connection that breaks
    await until(async () => (await entries()).length === 1);
    process.kill(Number(/"workerPid":(\d+)/.exec(gateway.output)?.[1]), signal);
    await until(() => gateway.output.match(/worker ready/g)?.length === 2);
    expect(await gateway.stop()).toBe(0);
    const unique = new Map((await entries()).map(({ event }) => [event.event_id, event]));
    const [opened, closed, ...more] = [...unique.values()];
    expect(opened).toMatchObject({ status_code: 101, reason: null, decision: 'allow' });
    expect(closed).toMatchObject({ status_code: 101, reason: 'upgrade_crash', trace_id: opened?.trace_id });
    expect(closed?.context.outcome).toBe(outcome);
    expect(more).toEqual([]);
    await upstream.close();
    rmSync(folder, { recursive: true });
  });
}
