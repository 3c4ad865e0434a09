import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { arrivedTraceIds, auditEvents, auditFigures } from '../setup/audit-events.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { load } from '../setup/load.ts';
import { exchangeRaw } from '../setup/raw.ts';
import { RedisServer } from '../setup/redis.ts';
import { until } from '../setup/until.ts';

// A busy machine takes ten times as long as an idle one to start a gateway.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let platform: Platform;
let server: RedisServer;
let token: string;

beforeAll(async () => {
  platform = await startPlatform();
  token = await platform.iam.issue(USERS.scientist);
});
afterAll(() => platform.close());
beforeEach(async () => {
  server = await RedisServer.start();
});
afterEach(() => server.close());

/** A folder in which no spool can be: its folder's name is taken by a file. */
function blockedFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'gateway-blocked-'));
  writeFileSync(join(folder, 'audit'), '');
  return folder;
}

const figuresOf = async (gateway: Gateway) => auditFigures(await gateway.metrics());
const uniqueEvents = async () =>
  new Set((await auditEvents(server.url)).map(({ event }) => event.event_id)).size;

test('without a disk and with Redis nothing is lost; without either, requests go on and losses are counted exactly', async () => {
  const STATE_DIR = blockedFolder();
  const gateway = await Gateway.start({
    ...platform.env,
    STATE_DIR,
    AUDIT_REDIS: server.url,
    AUDIT_BACKLOG_MAX: '500',
  });
  const send = (wanted: number) =>
    load(`${gateway.url}/api/lims/x`, {
      connections: 8,
      wanted,
      headers: { authorization: `Bearer ${token}` },
    });
  await send(300);
  await until(async () => (await figuresOf(gateway))['events_total.written'] === 300);
  expect(await uniqueEvents()).toBe(300);
  await server.down();
  expect((await send(1_200)).statuses).toEqual({ 200: 1_200 });
  await until(async () => (await figuresOf(gateway))['events_total.dropped'] === 700);
  await until(() => gateway.output.includes('audit events are dropped'));
  await server.up();
  await until(async () => (await uniqueEvents()) === 500);
  expect(await figuresOf(gateway)).toMatchObject({
    'events_total.accepted': 1_500,
    'events_total.written': 800,
    'events_total.dropped': 700,
    'backlog_events.memory': 0,
  });
  expect(await gateway.stop()).toBe(0);
  rmSync(STATE_DIR, { recursive: true });
});

test('a spool that is full keeps the oldest events, counts the newest as dropped, and empties again', async () => {
  await server.down();
  const gateway = await Gateway.start({
    ...platform.env,
    AUDIT_REDIS: server.url,
    AUDIT_SPOOL_MAX: '1048576',
    AUDIT_BACKLOG_MAX: '128',
  });
  const { traceIds } = await load(`${gateway.url}/api/lims/x`, {
    connections: 8,
    wanted: 3_000,
    headers: { authorization: `Bearer ${token}` },
  });
  await until(async () => {
    const figures = await figuresOf(gateway);
    return (figures['events_total.spooled'] ?? 0) + (figures['events_total.dropped'] ?? 0) === 3_000 - 128;
  });
  const figures = await figuresOf(gateway);
  expect(figures.spool_bytes).toBeLessThanOrEqual(1_048_576);
  const kept = 3_000 - Number(figures['events_total.dropped']);
  expect(kept).toBeGreaterThan(800);
  await server.up();
  await until(async () => (await uniqueEvents()) === kept);
  const arrived = await arrivedTraceIds(server.url);
  // The first are all there; answers of the same moment are not told in the order of their events.
  for (const id of traceIds.slice(0, 500)) expect(arrived).toContain(id);
  expect(await gateway.stop()).toBe(0);
});

test('AUDIT_MODE=strict answers 503 while neither Redis nor disk takes a record, and recovers by itself', async () => {
  await server.down();
  const STATE_DIR = blockedFolder();
  const gateway = await Gateway.start({
    ...platform.env,
    STATE_DIR,
    AUDIT_REDIS: server.url,
    AUDIT_MODE: 'strict',
  });
  for (const path of ['/api/lims/x', '/api/nothing']) {
    const answer = await ask(`${gateway.url}${path}`, { token });
    expect([answer.status, answer.json]).toEqual([
      503,
      { error: 'audit unavailable', trace_id: expect.any(String) },
    ]);
  }
  expect((await ask(`${gateway.url}/api/lims/x`)).status).toBe(503);
  expect((await ask(`${gateway.url}/auth/verify`, { token })).status).toBe(403);
  expect(await exchangeRaw(gateway.port, 'nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 503 /);
  expect((await ask(`${gateway.url}/health`)).status).toBe(200);
  // Redis comes back: records go there at once.
  await server.up();
  await until(async () => (await ask(`${gateway.url}/api/lims/x`, { token })).status === 200);
  const before = (await auditEvents(server.url)).length;
  expect((await ask(`${gateway.url}/api/lims/y`, { token })).status).toBe(200);
  const last = (await auditEvents(server.url)).at(-1)?.event;
  expect(last).toMatchObject({ endpoint: '/api/lims/y', status_code: 200, context: { outcome: 'unknown' } });
  expect(await auditEvents(server.url)).toHaveLength(before + 1);
  // Then the disk too: the record is a promise there, and the event has its end.
  await server.down();
  rmSync(join(STATE_DIR, 'audit'));
  await until(async () => (await ask(`${gateway.url}/api/lims/x`, { token })).status === 200);
  await server.up();
  const { headers } = await ask(`${gateway.url}/api/lims/z`, { token });
  await until(async () =>
    (await auditEvents(server.url)).some(({ event }) => event.endpoint === '/api/lims/z'),
  );
  const event = (await auditEvents(server.url)).find(({ event }) => event.endpoint === '/api/lims/z')?.event;
  expect(event).toMatchObject({ trace_id: headers['x-trace-id'], reason: null });
  expect(event?.context).not.toHaveProperty('outcome');
  expect(await gateway.stop()).toBe(0);
  rmSync(STATE_DIR, { recursive: true });
});

test('AUDIT_MODE=strict answers 503 while the spool is full, never takes more than its limit, and recovers by itself', async () => {
  await server.down();
  const gateway = await Gateway.start({
    ...platform.env,
    AUDIT_REDIS: server.url,
    AUDIT_SPOOL_MAX: '1048576',
    AUDIT_MODE: 'strict',
  });
  const send = (wanted: number) =>
    load(`${gateway.url}/api/lims/x`, {
      connections: 4,
      wanted,
      headers: { authorization: `Bearer ${token}` },
    });
  const onDisk = () => {
    const audit = join(gateway.stateDir, 'audit');
    return readdirSync(audit, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.log'))
      .reduce((sum, name) => sum + statSync(join(audit, name)).size, 0);
  };
  const { statuses } = await send(1_500);
  expect(Object.keys(statuses)).toEqual(['200', '503']);
  // It goes on trying what it is asked to keep.
  for (let turns = 0; turns < 10; turns++) {
    expect(onDisk()).toBeLessThanOrEqual(1_048_576);
    await send(50);
  }
  expect((await figuresOf(gateway)).spool_bytes).toBeLessThanOrEqual(1_048_576);
  await server.up();
  await until(async () => (await ask(`${gateway.url}/api/lims/x`, { token })).status === 200);
  expect(await gateway.stop()).toBe(0);
});

test('AUDIT_MODE=strict lets every kind of answer through whole, and each makes one event', async () => {
  const gateway = await Gateway.start({ ...platform.env, AUDIT_REDIS: server.url, AUDIT_MODE: 'strict' });
  const bytes = await ask(`${gateway.url}/api/workbench/download?bytes=300000`, { token });
  expect(bytes.text).toHaveLength(300_000);
  expect((await ask(`${gateway.url}/api/lims/x`, { token, method: 'HEAD' })).status).toBe(200);
  expect((await ask(`${gateway.url}/api/rag/logs?lines=3`, { token })).text).toContain('data:');
  expect((await ask(`${gateway.url}/api/lims//x`, { token })).status).toBe(400);
  expect((await ask(`${gateway.url}/auth/verify`, { token })).status).toBe(200);
  expect(await exchangeRaw(gateway.port, 'nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
  expect(await gateway.stop()).toBe(0);
  const found = (await auditEvents(server.url)).map(({ event }) => [
    event.status_code,
    event.context.bytes_out,
  ]);
  expect(found.map(([status]) => status)).toEqual([200, 200, 200, 400, 200, 400]);
  expect(found[0]?.[1]).toBe(300_000);
});
