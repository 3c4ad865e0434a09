import { createHash, createHmac } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { exchangeRaw } from '../setup/raw.ts';
import { RedisServer } from '../setup/redis.ts';
import { until } from '../setup/until.ts';

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

interface Entry {
  readonly event: Record<string, unknown>;
  readonly data: string;
  readonly sig: string;
}

async function entries(): Promise<Entry[]> {
  return (await redis.xrange('audit:events', '-', '+')).map(([, [, data = '', , sig = '']]) => ({
    event: JSON.parse(data),
    data,
    sig,
  }));
}

function signature(data: string): string {
  const key = createHash('sha256').update(`omnibioai-audit-events:${platform.env.JWT_SECRET}`).digest();
  return `v1:${createHmac('sha256', key).update(`v1\ngateway\n${data}`).digest('hex')}`;
}

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
  for (const { data, sig } of found) expect(sig).toBe(signature(data));
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

test('events outlive an outage of Redis, each exactly once', async () => {
  const own = await RedisServer.start();
  const gateway = await Gateway.start({ ...platform.env, AUDIT_REDIS: own.url });
  const token = await platform.iam.issue(USERS.scientist);
  const send = (n: number) =>
    Promise.all(Array.from({ length: n }, () => ask(`${gateway.url}/api/lims/x`, { token })));
  await send(50);
  await until(async () => /events_total\{result="written"\} 50\b/.test(await gateway.metrics()));
  await own.down();
  await send(50);
  await until(async () => /events_total\{result="spooled"\} 50\b/.test(await gateway.metrics()));
  await own.up();
  await until(async () => /events_total\{result="replayed"\} 50\b/.test(await gateway.metrics()));
  const reader = new Redis(own.url);
  expect(await reader.xlen('audit:events')).toBe(50);
  reader.disconnect();
  expect(await gateway.stop()).toBe(0);
  await own.close();
});

test('in embedded mode the trail is a folder of JSON lines', async () => {
  const gateway = await Gateway.start({ ...platform.env, REDIS_URL: '' });
  const folder = join(gateway.stateDir, 'audit');
  await ask(`${gateway.url}/api/lims/x`);
  await until(() => readdirSync(folder).length > 0);
  const [file = ''] = readdirSync(folder);
  const { sig, event } = JSON.parse(readFileSync(join(folder, file), 'utf8'));
  expect(event).toMatchObject({ event_type: 'auth_failed', reason: 'missing_token' });
  expect(sig).toMatch(/^v1:[0-9a-f]{64}$/);
  await gateway.stop();
});
