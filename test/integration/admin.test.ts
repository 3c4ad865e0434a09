import { createHash } from 'node:crypto';
import { Script } from 'node:vm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { exchangeRaw } from '../setup/raw.ts';
import { until } from '../setup/until.ts';

let platform: Platform;
let gateway: Gateway;
let token: string;

beforeAll(async () => {
  platform = await startPlatform();
  token = await platform.iam.issue(USERS.scientist);
  gateway = await Gateway.start({ ...platform.env, WORKERS: '2' });
});
afterAll(async () => {
  await gateway.stop();
  await platform.close();
});

test('the status page needs nothing but itself, and its policy allows nothing else', async () => {
  const { status, headers, text } = await ask(`${gateway.adminUrl}/`);
  expect([status, headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
  const [, script = ''] = /<script>(.*)<\/script>/s.exec(text) ?? [];
  const [, style = ''] = /<style>(.*)<\/style>/s.exec(text) ?? [];
  const digest = (content: string) => `'sha256-${createHash('sha256').update(content).digest('base64')}'`;
  expect(headers['content-security-policy']).toBe(
    `default-src 'none'; script-src ${digest(script)}; style-src ${digest(style)}; connect-src 'self'; ` +
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  );
  expect(() => new Script(script)).not.toThrow();
  // Neither assets nor markup that the policy would block.
  expect(text).not.toMatch(/\bsrc=|<link|@import|url\(|\bon\w+="|\bstyle="|innerHTML/);
});

test('the status page’s data tell of workers, engines, routes, requests and latency', async () => {
  for (let i = 0; i < 3; i++) await ask(`${gateway.url}/api/lims/x`, { token });
  await ask(`${gateway.url}/api/lims/x`);
  let json: Record<string, unknown> = {};
  await until(async () => {
    ({ json } = await ask(`${gateway.adminUrl}/status`));
    const { iam, policy } = json.engines as Record<string, string>;
    return iam === 'ok' && policy === 'ok' && JSON.stringify(json.refusals).includes('missing_token');
  });
  expect(json).toMatchObject({ ready: true, wanted: 2, redis: 'embedded', audit: { to: 'spool' } });
  expect(json.workers).toHaveLength(2);
  expect(json.workers).toContainEqual(
    expect.objectContaining({ state: 'serving', memory: expect.any(Number), cpuSeconds: expect.any(Number) }),
  );
  expect(json.routes).toContainEqual({
    prefix: '/api/lims/',
    service: 'lims',
    targets: [platform.services.get('lims')?.url],
    permission: null,
    compute: false,
    timeout: 15,
  });
  expect(json.requests).toContainEqual({ service: 'lims', method: 'GET', status: '200', count: 3 });
  expect(json.refusals).toContainEqual({ stage: 'auth', reason: 'missing_token', count: 1 });
  const { bounds, series } = json.latency as {
    bounds: number[];
    series: Record<string, { count: number; buckets: number[] }>;
  };
  expect(series.lims?.count).toBe(4);
  expect(series.lims?.buckets).toHaveLength(bounds.length);
  expect(series.lims?.buckets.at(-1)).toBe(4);
  expect(JSON.stringify(json)).not.toContain(platform.env.JWT_SECRET);
});

test('HEAD tells what GET would, other methods are refused, other paths are unknown', async () => {
  for (const path of ['/', '/ready', '/health', '/metrics', '/status']) {
    const [head, get] = [
      await ask(`${gateway.adminUrl}${path}`, { method: 'HEAD' }),
      await ask(`${gateway.adminUrl}${path}?x=1`),
    ];
    expect([head.status, head.text, get.status]).toEqual([200, '', 200]);
    expect(head.headers['content-type']).toBe(get.headers['content-type']);
    expect(Number(head.headers['content-length'])).toBeGreaterThan(10);
  }
  const refused = await ask(`${gateway.adminUrl}/ready`, { method: 'POST', body: 'x' });
  expect([refused.status, refused.headers.allow]).toEqual([405, 'GET, HEAD']);
  expect((await ask(`${gateway.adminUrl}/nothing`)).status).toBe(404);
});

test('garbage on the admin port is answered and harms nobody', async () => {
  const port = Number(new URL(gateway.adminUrl).port);
  expect(await exchangeRaw(port, 'garbage\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /);
  expect((await ask(`${gateway.adminUrl}/health`)).json).toEqual({ status: 'ok' });
});

test('a worker that does not answer holds up no scrape, and its counts stay', async () => {
  const counted = async () => {
    const { text } = await ask(`${gateway.adminUrl}/metrics`);
    const counts = text.matchAll(/^gateway_requests_total\{.*\} (\d+)$/gm);
    return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
  };
  await ask(`${gateway.url}/api/lims/x`, { token });
  const before = await counted();
  expect(before).toBeGreaterThan(0);
  const { workers } = (await ask(`${gateway.adminUrl}/status`)).json as { workers: { pid: number }[] };
  for (const { pid } of workers) process.kill(pid, 'SIGSTOP');
  const startedAt = performance.now();
  expect(await counted()).toBe(before);
  expect((await ask(`${gateway.adminUrl}/ready`)).status).toBe(200);
  // A second for the workers; the rest for a machine that is busy with other tests.
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  for (const { pid } of workers) process.kill(pid, 'SIGCONT');
});

test('while the gateway drains it is alive but not ready', async () => {
  const draining = await Gateway.start(platform.env);
  const slow = ask(`${draining.url}/api/lims/slow?ms=1500`, { token });
  await until(async () => /gateway_open_connections [1-9]/.test(await draining.metrics()));
  draining.process.kill('SIGTERM');
  await until(async () => (await ask(`${draining.adminUrl}/ready`)).status === 503);
  expect((await ask(`${draining.adminUrl}/health`)).status).toBe(200);
  expect((await slow).status).toBe(200);
  await draining.stop();
});
