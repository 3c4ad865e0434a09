import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';

import { afterAll, beforeAll, expect, test, vi } from 'vitest';

import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { arrivedTraceIds, auditEvents, type StreamEntry } from '../setup/audit-events.ts';
import { cli } from '../setup/cli.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { load } from '../setup/load.ts';
import { RedisServer } from '../setup/redis.ts';
import { until } from '../setup/until.ts';

// A busy machine takes ten times as long as an idle one to start a gateway.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let server: RedisServer;
let redis: Redis;
let platform: Platform;
let env: Record<string, string>;
/** All entries of the gateway's events, and the first of each. */
let arrivals: StreamEntry[];
let entries: StreamEntry[];
let folder: string;

/** A trail of two workers, one of which was killed, so that there are three chains. */
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gateway-cli-'));
  server = await RedisServer.start();
  redis = new Redis(server.url);
  platform = await startPlatform();
  env = { REDIS_URL: server.url, JWT_SECRET: platform.env.JWT_SECRET ?? '', STATE_DIR: join(folder, 'none') };
  const gateway = await Gateway.start({ ...platform.env, AUDIT_REDIS: server.url, WORKERS: '2' });
  const headers = { authorization: `Bearer ${await platform.iam.issue(USERS.scientist)}` };
  const send = (wanted: number) =>
    load(`${gateway.url}/api/lims/x?page=1`, { connections: 8, wanted, headers });
  await send(200);
  await until(async () => (await redis.xlen('audit:events')) >= 200);
  process.kill(Number(/"workerPid":(\d+)/.exec(gateway.output)?.[1]), 'SIGKILL');
  await until(() => gateway.output.match(/worker ready/g)?.length === 3);
  const { traceIds } = await send(200);
  // Whichever worker takes it, the next event is the last.
  await until(async () => {
    const arrived = await arrivedTraceIds(server.url);
    return traceIds.every((id) => arrived.has(id));
  });
  await ask(`${gateway.url}/api/lims/anonymous`);
  await gateway.stop();
  // Another service of the platform writes there too.
  await redis.xadd('audit:events', '*', 'data', '{"service":"iam","event_type":"login"}', 'sig', '');
  arrivals = (await auditEvents(server.url)).filter(({ event }) => event.service === 'gateway');
  // What was on its way when the worker was killed may have arrived twice.
  const seen = new Set<string>();
  entries = arrivals.filter(({ data }) => !seen.has(data) && seen.add(data));
});
afterAll(async () => {
  redis.disconnect();
  await platform.close();
  await server.close();
  rmSync(folder, { recursive: true });
});

const chainOf = (entry: StreamEntry | undefined) =>
  entry?.event.context.chain as { worker: string; seq: number };

test('an untouched trail has no faults, whoever else writes to the stream', async () => {
  const { code, out } = await cli(['audit', 'verify'], env);
  expect(out).toContain(
    `${entries.length} events of this gateway in 3 chains, ${arrivals.length - entries.length} arrived again, 0 without a chain, 1 of others`,
  );
  expect(out).toContain('nothing is missing and nothing was changed');
  expect(code).toBe(0);
});

test('in a copy of the stream a flipped byte, a deleted entry and two swapped ones are each named', async () => {
  const copy = entries.map(({ id, data, sig }) => ({ id, data, sig }));
  const worker = chainOf(entries[50]).worker;
  const own = copy.filter((_entry, i) => chainOf(entries[i]).worker === worker);
  const [flipped, deleted, swapped, other, unsigned] = [own[5], own[12], own[20], own[21], own[30]];
  if (!flipped || !deleted || !swapped || !other || !unsigned) throw new Error('the chain is too short');
  flipped.data = flipped.data.replace('/api/lims/x', '/api/lims/y');
  copy.splice(copy.indexOf(deleted), 1);
  [swapped.data, swapped.sig, other.data, other.sig] = [other.data, other.sig, swapped.data, swapped.sig];
  unsigned.sig = '';
  for (const { id, data, sig } of copy) await redis.xadd('copy', id, 'data', data, 'sig', sig);
  const { code, out } = await cli(['audit', 'verify', '--stream', 'copy'], env);
  expect(code).toBe(1);
  expect(out).toMatch(new RegExp(`^${flipped.id} {2}forged: `, 'm'));
  expect(out).toMatch(new RegExp(`^${own[11]?.id} {2}missing: number 13 is missing .* ${own[13]?.id}$`, 'm'));
  expect(out).toMatch(
    new RegExp(`^${swapped.id} {2}moved: number 22 .* stands before number 21 .*${other.id}`, 'm'),
  );
  expect(out).toMatch(new RegExp(`^${unsigned.id} {2}unsigned: `, 'm'));
  expect(out).toContain('4 faults');
  const json = await cli(['audit', 'verify', '--stream', 'copy', '--json'], {
    ...env,
    JWT_SECRET: 'another',
  });
  expect([json.code, JSON.parse(json.out).faults.length]).toEqual([1, copy.length]);
});

test('an export can be verified, and its time range is kept to', async () => {
  const file = join(folder, 'trail.jsonl');
  expect((await cli(['audit', 'export', '--output', file], env)).code).toBe(0);
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  expect(lines).toHaveLength(arrivals.length + 1);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    id: entries[0]?.id,
    sig: entries[0]?.sig,
    event: entries[0]?.event,
  });
  expect((await cli(['audit', 'verify', '--complete', file], env)).code).toBe(0);
  writeFileSync(file, [...lines.slice(0, 30), ...lines.slice(31)].join('\n'));
  const { code, out } = await cli(['audit', 'verify', file], env);
  expect([code, out]).toEqual([1, expect.stringContaining('missing: number')]);
  const [from, to] = [arrivals[100]?.id ?? '', arrivals[199]?.id ?? ''];
  const csv = await cli(['audit', 'export', '--format', 'csv', '--from', from, '--to', to], env);
  const rows = csv.out.trimEnd().split('\r\n');
  expect(rows[0]).toMatch(/^id,signature,timestamp,/);
  expect(rows).toHaveLength(101);
  expect(rows[1]).toContain(`${from},valid,`);
});

test('tail prints the last events and follows in a group of its own, which it removes', async () => {
  await redis.xgroup('CREATE', 'audit:events', 'audit-workers', '0-0');
  const { out, code } = await cli(['audit', 'tail', '--lines', '2'], env, async (output, end) => {
    await until(() => output().split('\n').length === 3);
    await until(async () => ((await redis.xinfo('GROUPS', 'audit:events')) as unknown[]).length === 2);
    await redis.xadd(
      'audit:events',
      '*',
      'data',
      '{"action":"GET /\\u001b[2Jx","status_code":200}',
      'sig',
      '',
    );
    await until(() => output().split('\n').length === 4);
    end();
  });
  expect(code).toBe(0);
  expect(out).toMatch(/401 {2}deny {2}GET \/api\/lims\/anonymous .* auth_failed {2}missing_token/);
  expect(out).toContain('GET /\\u{1b}[2Jx');
  const groups = (await redis.xinfo('GROUPS', 'audit:events')) as unknown[][];
  expect(groups.map((group) => group[1])).toEqual(['audit-workers']);
});

test('embedded mode: the spool is tailed, verified, exported, and replayed to a stream later', async () => {
  const gateway = await Gateway.start({ ...platform.env, REDIS_URL: '' });
  for (let i = 0; i < 12; i++) await ask(`${gateway.url}/api/lims/${i}`);
  const state = join(folder, 'state');
  const embedded = { ...env, REDIS_URL: '', STATE_DIR: state };
  await until(async () => /audit_events_total\{result="written"\} 12\b/.test(await gateway.metrics()));
  cpSync(gateway.stateDir, state, { recursive: true });
  expect(await gateway.stop()).toBe(0);
  const { out } = await cli(['audit', 'tail', '--lines', '3', '--no-follow'], embedded);
  expect(out.trimEnd().split('\n')).toEqual(
    [9, 10, 11].map((i) => expect.stringContaining(`GET /api/lims/${i} `)),
  );
  expect((await cli(['audit', 'verify', '--complete'], embedded)).code).toBe(0);
  const segment = join(state, 'audit', 'worker-1', '00000001.log');
  const whole = readFileSync(segment, 'latin1');
  writeFileSync(segment, whole.replace('/api/lims/5"', '/api/lims/6"'));
  const verified = await cli(['audit', 'verify'], embedded);
  expect([verified.code, verified.out]).toEqual([1, expect.stringContaining('00000001.log:7  forged')]);
  writeFileSync(segment, whole);
  const before = await redis.xlen('audit:events');
  expect((await cli(['audit', 'replay', state], env)).out).toContain('12 events shipped');
  expect(await redis.xlen('audit:events')).toBe(before + 12);
  expect((await cli(['audit', 'verify', '--no-complete'], env)).code).toBe(0);
  expect(readdirSync(join(state, 'audit', 'worker-1')).filter((name) => name === '00000001.log')).toEqual([]);
});

test('every command explains itself and says what is wrong with its arguments', async () => {
  for (const args of [
    [],
    ['start'],
    ['check'],
    ['token'],
    ['explain'],
    ['audit'],
    ['audit', 'tail'],
    ['audit', 'verify'],
    ['audit', 'export'],
    ['audit', 'replay'],
  ]) {
    const { code, out } = await cli([...args, '--help'], env);
    expect([code, out]).toEqual([0, expect.stringMatching(/^Usage: gateway[\s\S]*\nExamples\n/)]);
  }
  for (const [args, message] of [
    [['nonsense'], 'unknown command "nonsense"'],
    [['audit', 'verify', '--form'], '--form'],
    [['audit', 'verify', '--from', 'yesterday'], 'expected a time'],
    [['audit', 'verify', 'no-such-file'], 'no-such-file does not exist'],
    [['audit', 'export', '--format', 'xml'], 'expected jsonl or csv'],
    [['audit', 'replay'], 'expected one FOLDER'],
  ] as const) {
    const { code, err } = await cli(args, env);
    expect([code, err]).toEqual([2, expect.stringContaining(message)]);
  }
  const { code, err } = await cli(['audit', 'verify'], { ...env, REDIS_URL: 'redis://127.0.0.1:1' });
  expect([code, err]).toEqual([1, expect.stringContaining('Redis cannot be reached')]);
});
