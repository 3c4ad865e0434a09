import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt } from 'jose';

import { afterAll, beforeAll, expect, test, vi } from 'vitest';

import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { cli } from '../setup/cli.ts';
import { ask } from '../setup/client.ts';
import { freePort } from '../setup/free-port.ts';
import { until } from '../setup/until.ts';

// A busy machine takes ten times as long as an idle one to start a gateway.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let platform: Platform;
let folder: string;

beforeAll(async () => {
  platform = await startPlatform();
  folder = mkdtempSync(join(tmpdir(), 'gateway-cli-'));
});
afterAll(async () => {
  await platform.close();
  rmSync(folder, { recursive: true });
});

test('start runs a gateway until it is told to stop', async () => {
  const port = await freePort();
  const env = { ...platform.env, PORT: String(port), ADMIN_PORT: '0', WORKERS: '1', STATE_DIR: folder };
  const { code, out } = await cli(['start'], env, async (_output, end) => {
    await until(
      async () => (await ask(`http://127.0.0.1:${port}/health`).catch(() => null))?.status === 200,
      25_000,
    );
    end();
  });
  expect([code, out]).toEqual([0, expect.stringContaining('gateway stopped')]);
});

test('check prints the configuration without secrets, or every fault', async () => {
  const routes = join(folder, 'routes.json');
  writeFileSync(routes, '{"routes":[{"service":"x","prefix":"/api/x/","target":"http://x"}]}');
  const good = await cli(['check'], { ...platform.env, ROUTES_FILE: routes });
  expect([good.code, good.err]).toEqual([0, expect.stringContaining('no faults')]);
  expect(good.out).toMatch(/^ {2}\/api\/x\/ +x +http:\/\/x /m);
  expect(good.out).not.toContain(platform.env.JWT_SECRET);
  const json = await cli(['check', '--json'], platform.env);
  expect(JSON.parse(json.out)).toMatchObject({ jwtSecret: '***', auditMode: 'async' });
  writeFileSync(routes, '{"routes":[{"service":"x","prefix":"api","target":"http://x"}]}');
  const bad = await cli(['check'], { ...platform.env, ROUTES_FILE: routes, PORT: 'x' });
  expect(bad.code).toBe(78);
  expect(bad.err).toMatch(/^PORT: /m);
  const alone = await cli(['check'], { ...platform.env, ROUTES_FILE: routes });
  expect([alone.code, alone.err]).toEqual([
    78,
    expect.stringMatching(/^ROUTES_FILE: \$\.routes\[0\]\.prefix: /m),
  ]);
});

test('token mints what the gateway takes, but not in production', async () => {
  const args = [
    'token',
    '--user',
    '1',
    '--role',
    'researcher',
    '--permission',
    'workflow.execute',
    '--org',
    '10',
  ];
  const { code, out } = await cli(args, platform.env);
  expect(code).toBe(0);
  expect(decodeJwt(out.trim())).toMatchObject({
    sub: '1',
    roles: ['researcher'],
    org_id: 10,
    type: 'access',
  });
  const answer = await fetch(`${platform.iam.url}/auth/validate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token: out.trim() }),
  });
  expect(await answer.json()).toMatchObject({ valid: true, user_id: 1 });
  const production = await cli(args, { ...platform.env, NODE_ENV: 'production' });
  expect([production.code, production.out, production.err]).toEqual([
    2,
    '',
    expect.stringContaining('production'),
  ]);
  expect((await cli(['token', '--user', '1'], { REDIS_URL: '' })).err).toContain('JWT_SECRET');
});

test('explain says what is asked and what is refused, and asks on request', async () => {
  const explain = async (...args: string[]) => {
    const { code, out } = await cli(['explain', '--json', ...args], { ...platform.env, AUTH_PROXY: 'on' });
    return { code, ...JSON.parse(out) } as Record<string, unknown>;
  };
  expect(await explain('get', '/api/lims/samples/1?view=FULL')).toMatchObject({
    code: 0,
    service: 'lims',
    'upstream path': '/samples/1?view=FULL',
    action: 'get.lims.samples.1',
    resource: '/lims/samples/1',
    quota: 'not asked',
  });
  expect((await explain('POST', '/api/tes/v1/tasks')).quota).toContain('demand in the body');
  expect((await explain('GET', '/api/lims/%2e%2e/x')).refused).toContain('400');
  expect((await explain('GET', '/api/nothing')).refused).toContain('404');
  expect((await explain('POST', '/_svc/auth/login?x=1'))['upstream path']).toBe('/login?x=1');
  expect((await explain('GET', '/.well-known/jwks.json')).answer).toContain('200');
  expect((await explain('POST', '/.well-known/jwks.json')).answer).toContain('405');
  const refused = await explain(
    'POST',
    '/api/tes/v1/tasks',
    '--ask',
    '--user',
    '2',
    '--role',
    'viewer',
    '--permission',
    'dataset.read',
  );
  expect(refused).toMatchObject({ code: 1, 'policy says': 'no: missing permission workflow.execute' });
  const allowed = await explain(
    'POST',
    '/api/tes/v1/tasks',
    '--ask',
    '--user',
    '1',
    '--role',
    'researcher',
    '--permission',
    'workflow.execute',
  );
  expect(allowed).toMatchObject({
    code: 0,
    'policy says': expect.stringMatching(/^yes/),
    'quota says': expect.stringMatching(/^yes/),
  });
});
