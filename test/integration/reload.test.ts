import { once } from 'node:events';
import { mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { exchangeRaw } from '../setup/raw.ts';
import { Traffic } from '../setup/traffic.ts';
import { until } from '../setup/until.ts';

let platform: Platform;
let token: string;
const folder = mkdtempSync(join(tmpdir(), 'gateway-reload-'));

beforeAll(async () => {
  platform = await startPlatform();
  token = await platform.iam.issue(USERS.scientist);
});
afterAll(() => platform.close());

interface Readiness {
  readonly ready: boolean;
  readonly workers: { readonly wanted: number; readonly accepting: number };
  readonly reload: {
    readonly running: boolean;
    readonly last: { readonly result: string; readonly at: string; readonly faults: string[] } | null;
  };
}

async function readiness(gateway: Gateway): Promise<Readiness> {
  const answer = await fetch(`${gateway.adminUrl}/ready`);
  expect(answer.status).toBe(200);
  return (await answer.json()) as Readiness; // the gateway's own contract
}

/** Waits for the end of a reload that begins with `trigger`. */
async function reload(
  gateway: Gateway,
  trigger: () => void = () => gateway.process.kill('SIGHUP'),
): Promise<Readiness> {
  const before = (await readiness(gateway)).reload.last?.at;
  trigger();
  let after = await readiness(gateway);
  await until(async () => {
    after = await readiness(gateway);
    return !after.reload.running && after.reload.last?.at !== before;
  }, 60_000);
  return after;
}

/** Status of one request on a connection of its own: one that is kept may lead to a worker that drains. */
async function statusOf(gateway: Gateway, path: string): Promise<number> {
  const head = `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`;
  return Number((await exchangeRaw(gateway.port, head)).split(' ', 2)[1]);
}

function readyWorkers(gateway: Gateway): number[] {
  return [...gateway.output.matchAll(/"workerPid":(\d+),"msg":"worker ready"/g)].map(([, pid]) =>
    Number(pid),
  );
}

async function requestsCounted(gateway: Gateway): Promise<number> {
  const counts = (await gateway.metrics()).matchAll(/^gateway_requests_total\{.*\} (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

test('workers roll under load without a refused connection or a failed request, and counts never fall', async () => {
  const gateway = await Gateway.start({ ...platform.env, WORKERS: '2' });
  const traffic = [
    new Traffic(`${gateway.url}/api/lims/x`, token, 4),
    new Traffic(`${gateway.url}/auth/verify`, token, 4, { keepAlive: false }),
  ];
  let counted = 0;
  for (let i = 0; i < 2; i++) {
    expect((await reload(gateway)).reload.last?.result).toBe('done');
    const now = await requestsCounted(gateway);
    expect(now).toBeGreaterThanOrEqual(counted);
    counted = now;
  }
  await until(() => gateway.output.split('"worker drained"').length === 5, 60_000);
  for (const each of traffic) await each.stop();
  for (const { statuses } of traffic) expect([...statuses.keys()]).toEqual([200]);
  // The last answers are counted when their connections are done with.
  const sent = traffic.reduce((sum, { total }) => sum + total, 0);
  await until(async () => (await requestsCounted(gateway)) === sent);
  expect(new Set(readyWorkers(gateway)).size).toBe(6);
  expect(await gateway.stop()).toBe(0);
}, 90_000);

test('a request on a connection that was idle while its worker was replaced is answered', async () => {
  const gateway = await Gateway.start(platform.env);
  const socket = connect(gateway.port, '127.0.0.1').setEncoding('latin1');
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk;
  });
  socket.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n');
  await until(() => received.endsWith('{"status":"ok"}'));
  expect(received).not.toMatch(/connection: close/i);
  received = '';
  await reload(gateway);
  socket.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(socket, 'close');
  expect(received).toMatch(/^HTTP\/1.1 200 OK\r\n/);
  expect(received).toMatch(/\r\nconnection: close\r\n/i);
  await gateway.stop();
});

test('SIGHUP takes up the environment file; what cannot change is named and kept', async () => {
  const file = join(folder, 'good.env');
  writeFileSync(file, 'WORKERS=1\nLOG_LEVEL=info\n');
  const gateway = await Gateway.start({ ...platform.env, ENV_FILE: file });
  writeFileSync(file, 'WORKERS=2\nPORT=1\nLIMS_URL=http://127.0.0.1:1\nTYPO=1\n');
  const { workers } = await reload(gateway);
  expect(workers).toEqual({ wanted: 2, accepting: 2 });
  expect(gateway.output).toContain('PORT changes with the next start only');
  expect(gateway.output).toContain('ENV_FILE: TYPO is not a variable of the gateway');
  expect(await statusOf(gateway, '/api/lims/x')).toBe(502);
  writeFileSync(file, 'WORKERS=1\n');
  expect((await reload(gateway)).workers).toEqual({ wanted: 1, accepting: 1 });
  expect(await statusOf(gateway, '/api/lims/x')).toBe(200);
  expect(await gateway.stop()).toBe(0);
}, 60_000);

test('a bad environment file changes nothing and the log says why', async () => {
  const file = join(folder, 'bad.env');
  writeFileSync(file, 'WORKERS=1\n');
  const gateway = await Gateway.start({ ...platform.env, ENV_FILE: file });
  const faulty = {
    'WORKERS=none': 'WORKERS: expected a whole number',
    'JWT_SECRET=hunter22hunter22\nNODE_ENV=production': 'JWT_SECRET: is shorter than 32 bytes',
    'hunter22 without a name\nWORKERS=2': 'expected lines of NAME=value',
    'ROUTES_FILE=/nowhere.json': 'ROUTES_FILE: /nowhere.json cannot be read (ENOENT)',
  };
  for (const [content, why] of Object.entries(faulty)) {
    writeFileSync(file, content);
    const { reload: report, workers } = await reload(gateway);
    expect(report.last?.result).toBe('refused');
    expect(report.last?.faults.join()).toContain(why);
    expect(workers).toEqual({ wanted: 1, accepting: 1 });
  }
  expect(gateway.output).not.toContain('hunter22');
  // A worker that is replaced now does not meet the bad file either.
  await until(() => readyWorkers(gateway).length === 1);
  const [pid = 0] = readyWorkers(gateway);
  process.kill(pid, 'SIGKILL');
  await until(() => readyWorkers(gateway).length === 2);
  expect(await statusOf(gateway, '/health')).toBe(200);
  await gateway.stop();
}, 60_000);

test('a configuration with which no worker starts changes nothing', async () => {
  const gateway = await Gateway.start(platform.env);
  await until(() => readyWorkers(gateway).length === 1);
  const [old = 0] = readyWorkers(gateway);
  const { reload: report } = await reload(gateway, () => {
    gateway.process.kill('SIGHUP');
    void until(() => childrenOf(gateway.process.pid).some((pid) => pid !== old)).then(() => {
      for (const pid of childrenOf(gateway.process.pid)) if (pid !== old) process.kill(pid, 'SIGKILL');
    });
  });
  expect(report.last?.result).toBe('refused');
  expect(readyWorkers(gateway)).toEqual([old]);
  expect(await statusOf(gateway, '/health')).toBe(200);
  expect(await gateway.stop()).toBe(0);
}, 60_000);

function childrenOf(pid: number | undefined): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number);
}

test('a watched routes file is taken up when an editor replaces it, unless it is bad', async () => {
  const file = join(folder, 'routes.json');
  const target = platform.services.get('lims')?.url;
  const replace = (content: string) => () => {
    writeFileSync(`${file}.tmp`, content);
    renameSync(`${file}.tmp`, file);
  };
  const routes = (prefix: string) => JSON.stringify({ routes: [{ service: 'lims', prefix, target }] });
  replace(routes('/api/one'))();
  const gateway = await Gateway.start({ ...platform.env, ROUTES_FILE: file, ROUTES_WATCH: 'on' });
  const status = (path: string) => statusOf(gateway, path);
  expect([await status('/api/one/x'), await status('/api/two/x')]).toEqual([200, 404]);

  const refused = await reload(gateway, replace('{"routes":[{"service":"lims"}]}'));
  expect(refused.reload.last?.faults.join()).toContain('ROUTES_FILE: $.routes[0].prefix');
  expect([await status('/api/one/x'), await status('/api/two/x')]).toEqual([200, 404]);

  expect((await reload(gateway, replace(routes('/api/two')))).reload.last?.result).toBe('done');
  expect([await status('/api/one/x'), await status('/api/two/x')]).toEqual([404, 200]);
  await gateway.stop();
}, 60_000);

test('a worker that says nothing for ten seconds is killed and replaced, and the others serve meanwhile', async () => {
  const gateway = await Gateway.start({ ...platform.env, WORKERS: '2' });
  await until(() => readyWorkers(gateway).length === 2);
  const [stuck = 0] = readyWorkers(gateway);
  process.kill(stuck, 'SIGSTOP');
  const traffic = new Traffic(`${gateway.url}/auth/verify`, token, 2, { keepAlive: false });
  await until(() => gateway.output.includes('"why":"stuck"'), 40_000);
  await until(() => readyWorkers(gateway).length === 3, 30_000);
  await traffic.stop();
  expect([...traffic.statuses.keys()]).toEqual([200]);
  expect(await gateway.metrics()).toMatch(/gateway_worker_exits_total\{how="stuck"\} 1/);
  await gateway.stop();
}, 90_000);

test('a worker that is told to end by itself is replaced before it is gone', async () => {
  const gateway = await Gateway.start(platform.env);
  const slow = ask(`${gateway.url}/api/lims/slow?ms=1500`, { token });
  await until(async () => /gateway_open_connections [1-9]/.test(await gateway.metrics()));
  await until(() => readyWorkers(gateway).length === 1);
  process.kill(readyWorkers(gateway)[0] ?? 0, 'SIGTERM');
  await until(() => readyWorkers(gateway).length === 2);
  expect((await slow).status).toBe(200);
  expect(await statusOf(gateway, '/health')).toBe(200);
  await gateway.stop();
});
