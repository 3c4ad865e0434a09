import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { until } from '../setup/until.ts';

let platform: Platform;

beforeAll(async () => {
  platform = await startPlatform();
});
afterAll(() => platform.close());

test('bad configuration stops the start with a line per fault and exit code 78', async () => {
  const gateway = await Gateway.spawn({
    PORT: 'x',
    NODE_ENV: 'production',
    JWT_SECRET: 'hush',
    REDIS_URL: 'http://r',
  });
  await once(gateway.process, 'exit');
  expect(gateway.process.exitCode).toBe(78);
  for (const name of ['PORT', 'JWT_SECRET', 'GATEWAY_SECRET', 'REDIS_URL']) {
    expect(gateway.output).toMatch(new RegExp(`^${name}: `, 'm'));
  }
  expect(gateway.output).not.toContain('hush');
});

test('a crash loop at start ends with a message and a non-zero code', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as { port: number };
  const gateway = await Gateway.spawn({ ...platform.env, PORT: String(port) });
  await once(gateway.process, 'exit');
  expect(gateway.process.exitCode).toBe(1);
  expect(gateway.output).toContain('EADDRINUSE');
  expect(gateway.output).toContain('workers die at start again and again');
  taken.close();
}, 90_000);

test('a worker that dies is replaced', async () => {
  const gateway = await Gateway.start({ ...platform.env, WORKERS: '2' });
  await until(() => gateway.output.includes('workerPid'));
  const pid = Number(/"workerPid":(\d+)/.exec(gateway.output)?.[1]);
  process.kill(pid, 'SIGKILL');
  await until(() => (gateway.output.match(/worker ready/g) ?? []).length === 3);
  expect((await ask(`${gateway.url}/health`)).status).toBe(200);
  expect(await gateway.stop()).toBe(0);
});

test('an orderly stop finishes what is in flight and refuses new connections', async () => {
  const gateway = await Gateway.start(platform.env);
  const token = await platform.iam.issue(USERS.scientist);
  await ask(`${gateway.url}/api/lims/x`, { token });
  const slow = ask(`${gateway.url}/api/lims/slow?ms=700`, { token });
  await until(async () => /gateway_open_connections [1-9]/.test(await gateway.metrics()));
  const exited = once(gateway.process, 'exit');
  gateway.process.kill('SIGTERM');
  await until(async () => (await ask(`${gateway.adminUrl}/ready`).catch(() => null))?.status === 503);
  const answer = await slow;
  expect([answer.status, answer.headers.connection]).toEqual([200, 'close']);
  await exited;
  expect(gateway.process.exitCode).toBe(0);
  await expect(ask(`${gateway.url}/health`)).rejects.toThrow('ECONNREFUSED');
});

test('what takes longer than DRAIN_TIMEOUT is cut', async () => {
  const gateway = await Gateway.start({ ...platform.env, DRAIN_TIMEOUT: '0.2' });
  const token = await platform.iam.issue(USERS.scientist);
  await ask(`${gateway.url}/api/lims/x`, { token });
  const slow = ask(`${gateway.url}/api/lims/slow?ms=10000`, { token });
  slow.catch(() => {}); // awaited below
  await until(() => platform.policy.calls.some(({ body }) => JSON.stringify(body).includes('/lims/slow')));
  expect(await gateway.stop()).toBe(0);
  await expect(slow).rejects.toThrow();
});

test('logs hold no token and no secret', async () => {
  const gateway = await Gateway.start({ ...platform.env, LOG_LEVEL: 'debug' });
  const token = await platform.iam.issue(USERS.scientist);
  await ask(`${gateway.url}/api/lims/x`, { token });
  await gateway.stop();
  for (const secret of [token, platform.env.JWT_SECRET, platform.env.GATEWAY_SECRET]) {
    expect(gateway.output).not.toContain(secret);
  }
});
