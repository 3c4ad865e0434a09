import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { type Answer, ask } from '../setup/client.ts';
import { freePort } from '../setup/free-port.ts';
import { Gateway } from '../setup/gateway.ts';
import { Traffic } from '../setup/traffic.ts';
import { until } from '../setup/until.ts';
import { Upstream } from '../setup/upstream.ts';

// Each test starts a gateway of its own, and the decision services share the machine with all of them.
vi.setConfig({ testTimeout: 90_000 });
const PATIENT = { IAM_TIMEOUT: '60', POLICY_TIMEOUT: '60', DRAIN_TIMEOUT: '0' };

let platform: Platform;
let token: string;
let folder: string;
const open: { close(): Promise<unknown> }[] = [];

beforeAll(async () => {
  platform = await startPlatform();
  token = await platform.iam.issue(USERS.scientist);
  folder = mkdtempSync(join(tmpdir(), 'gateway-routes-'));
});
afterAll(async () => {
  await platform.close();
  rmSync(folder, { recursive: true });
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function upstream(handler: RequestListener, port?: number, host?: string): Promise<Upstream> {
  const started = await Upstream.start(port, host);
  started.handler = handler;
  open.push(started);
  return started;
}

/** A gateway whose route /api/x/ leads to `target`. */
async function gatewayFor(
  target: string | string[],
  fields: object = {},
  env: Record<string, string> = {},
): Promise<Gateway> {
  const file = join(folder, 'routes.json');
  writeFileSync(file, JSON.stringify({ routes: [{ service: 'x', prefix: '/api/x', target, ...fields }] }));
  const gateway = await Gateway.start({ ...platform.env, ROUTES_FILE: file, ...PATIENT, ...env });
  open.push({ close: () => gateway.stop() });
  return gateway;
}

const saying =
  (text: string): RequestListener =>
  (request, response) => {
    request.resume();
    request.on('end', () => response.end(text));
  };

/** Answers of several requests at once. */
function askAll(gateway: Gateway, count: number, options: object = {}): Promise<Answer[]> {
  return Promise.all(
    Array.from({ length: count }, () => ask(`${gateway.url}/api/x/a`, { token, ...options })),
  );
}

async function state(gateway: Gateway, url: string): Promise<string> {
  const ready = await ask(`${gateway.adminUrl}/ready`);
  expect(ready.status).toBe(200);
  const { x } = ready.json.upstreams as Record<string, Record<string, string>>;
  return x?.[url] ?? 'unknown';
}

test('targets of one service share its requests', async () => {
  const targets = [await upstream(saying('one')), await upstream(saying('two'))];
  const gateway = await gatewayFor(targets.map(({ url }) => url));
  const texts = (await askAll(gateway, 40)).map(({ text }) => text);
  expect(new Set(texts)).toEqual(new Set(['one', 'two']));
});

test('the less busy target gets the request', async () => {
  let hanging = 0;
  const slow = await upstream(() => hanging++);
  const quick = await upstream(saying('quick'));
  const gateway = await gatewayFor([slow.url, quick.url]);
  let sent = 0;
  let answered = 0;
  while (hanging === 0) {
    sent++;
    ask(`${gateway.url}/api/x/a`, { token }).then(
      () => answered++,
      () => null,
    );
    await ask(`${gateway.url}/health`);
  }
  // Of those sent meanwhile, more may be on their way to either.
  await until(() => answered + hanging === sent);
  const before = hanging;
  for (let i = 0; i < 20; i++) {
    // The stuck request makes the other target the less busy one each time.
    expect((await ask(`${gateway.url}/api/x/a`, { token })).text).toBe('quick');
  }
  expect(hanging).toBe(before);
});

test('a target that restarts under load costs no idempotent request', async () => {
  const stays = await upstream(saying('stays'));
  let other = await Upstream.start();
  other.handler = saying('restarts');
  const { url } = other;
  const port = Number(new URL(url).port);
  const gateway = await gatewayFor([stays.url, url]);
  const traffic = new Traffic(`${gateway.url}/api/x/a`, token, 16);
  for (let round = 0; round < 2; round++) {
    const before = traffic.count(200);
    await until(() => traffic.count(200) > before + 200);
    await other.close();
    await until(async () => (await state(gateway, url)) !== 'up');
    other = await Upstream.start(port);
    other.handler = saying('restarts');
    await until(async () => (await state(gateway, url)) === 'up');
  }
  await traffic.stop();
  await other.close();
  expect([...traffic.statuses.keys()]).toEqual([200]);
  const metrics = await gateway.metrics();
  expect(metrics).toMatch(/gateway_upstream_retries_total\{service="x",result="succeeded"\} [1-9]/);
  expect(metrics).toContain(
    `gateway_upstream_target_transitions_total{service="x",target="${url}",state="ejected"} 2`,
  );
  expect(metrics).toContain(`gateway_upstream_target_state{service="x",target="${url}"} 1`);
});

test('a request that no target got goes to the next one whole, whatever its method', async () => {
  const bodies: string[] = [];
  const alive = await upstream((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      bodies.push(body);
      response.end('alive');
    });
  });
  const gateway = await gatewayFor([`http://127.0.0.1:${await freePort()}`, alive.url]);
  const answers = await askAll(gateway, 20, { body: 'whole' });
  expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
  expect(bodies).toEqual(Array(20).fill('whole'));
});

test('what a target may have seen is not repeated unless it is idempotent', async () => {
  const seen: string[] = [];
  const breaking: RequestListener = (request) => {
    seen.push(String(request.method));
    request.resume();
    request.on('end', () => request.socket.destroy());
  };
  const gateway = await gatewayFor([(await upstream(breaking)).url, (await upstream(breaking)).url]);
  expect((await ask(`${gateway.url}/api/x/a`, { token, method: 'POST' })).status).toBe(502);
  expect((await ask(`${gateway.url}/api/x/a`, { token, method: 'PUT', body: 'x' })).status).toBe(502);
  expect(seen).toEqual(['POST', 'PUT']);
  expect((await ask(`${gateway.url}/api/x/a`, { token, method: 'DELETE' })).status).toBe(502);
  expect(seen.slice(2)).toEqual(['DELETE', 'DELETE', 'DELETE']);
});

test('a kept connection that died is not the client’s problem', async () => {
  let requests = 0;
  const only = await upstream((request, response) => {
    requests++;
    // Each connection breaks at its second request.
    if (requests % 2 === 0) request.socket.destroy();
    else response.end('answer');
  });
  const gateway = await gatewayFor(only.url);
  for (let i = 0; i < 3; i++) expect((await ask(`${gateway.url}/api/x/a`, { token })).status).toBe(200);
});

test('the last target is asked for as long as it refuses at once', async () => {
  const gateway = await gatewayFor(`http://127.0.0.1:${await freePort()}`);
  const statuses = (await askAll(gateway, 15)).map(({ status }) => status);
  expect(statuses).toEqual(Array(15).fill(502));
});

test('callers of a service that does not answer are not kept waiting, until it answers again', async () => {
  let hangs = true;
  let seen = 0;
  const stuck = await upstream((_request, response) => {
    seen++;
    if (!hangs) response.end('back');
  });
  const gateway = await gatewayFor(stuck.url, { timeout: 0.5 });
  expect(new Set((await askAll(gateway, 10)).map(({ status }) => status))).toEqual(new Set([504]));
  const refused = await ask(`${gateway.url}/api/x/a`, { token });
  expect([refused.status, refused.json.error, refused.json.reason]).toEqual([
    503,
    'service unavailable',
    'circuit_open',
  ]);
  expect(refused.headers['retry-after']).toMatch(/^[1-9]$/);
  expect(seen).toBe(10);
  await until(async () => (await state(gateway, stuck.url)) !== 'up');
  hangs = false;
  await until(async () => (await ask(`${gateway.url}/api/x/a`, { token })).text === 'back');
  expect((await askAll(gateway, 5)).map(({ text }) => text)).toEqual(Array(5).fill('back'));
});

test('a target that says it is out of service is spared while another one is there', async () => {
  const targets = [
    await upstream((_request, response) => response.writeHead(503).end()),
    await upstream(saying('fine')),
  ];
  const gateway = await gatewayFor(targets.map(({ url }) => url));
  await until(async () => {
    await ask(`${gateway.url}/api/x/a`, { token });
    return (await state(gateway, String(targets[0]?.url))) !== 'up';
  });
});

test('active checks take a target out and bring it back', async () => {
  let well = true;
  const checked = await upstream((request, response) => {
    response.writeHead(request.url === '/base/healthz' && !well ? 500 : 200).end('checked');
  });
  const other = await upstream(saying('other'));
  const gateway = await gatewayFor([`${checked.url}/base`, other.url], {
    healthCheck: { path: '/healthz', interval: 0.1 },
  });
  well = false;
  await until(async () => (await state(gateway, `${checked.url}/base`)) === 'ejected');
  expect(new Set((await askAll(gateway, 20)).map(({ text }) => text))).toEqual(new Set(['other']));
  well = true;
  await until(async () => (await state(gateway, `${checked.url}/base`)) === 'up');
  expect(new Set((await askAll(gateway, 40)).map(({ text }) => text))).toEqual(new Set(['other', 'checked']));
});

test('a service without a free place is refused with Retry-After after a short wait', async () => {
  let held = 0;
  let most = 0;
  let release = () => {};
  const free = new Promise<void>((resolve) => {
    release = resolve;
  });
  const busy = await upstream(async (_request, response) => {
    most = Math.max(most, ++held);
    await free;
    held--;
    response.end('done');
  });
  const gateway = await gatewayFor(busy.url, { maxConcurrency: 2 });
  const first = askAll(gateway, 2);
  await until(() => held === 2);
  const late = await askAll(gateway, 5);
  for (const answer of late) {
    expect([answer.status, answer.json.reason, answer.headers['retry-after']]).toEqual([
      503,
      'overloaded',
      '1',
    ]);
  }
  const next = askAll(gateway, 2);
  await until(async () => /gateway_upstream_queue\{service="x"\} 2/.test(await gateway.metrics()));
  release();
  expect([...(await first), ...(await next)].map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(most).toBe(2);
  expect(await gateway.metrics()).toMatch(/gateway_upstream_requests_in_flight\{service="x"\} 0/);
});

test('a client that goes away leaves the queue and its place', async () => {
  const stuck = await upstream(() => {});
  const gateway = await gatewayFor(stuck.url, { maxConcurrency: 1 });
  const signal = new AbortController();
  const headers = { authorization: `Bearer ${token}` };
  const gone = [1, 2].map(() =>
    fetch(`${gateway.url}/api/x/a`, { headers, signal: signal.signal }).catch(() => 'gone'),
  );
  await until(async () => /gateway_upstream_queue\{service="x"\} 1/.test(await gateway.metrics()));
  signal.abort();
  expect(await Promise.all(gone)).toEqual(['gone', 'gone']);
  stuck.handler = saying('free');
  await until(async () => /requests_in_flight\{service="x"\} 0/.test(await gateway.metrics()));
  expect((await ask(`${gateway.url}/api/x/a`, { token })).text).toBe('free');
});

test('event streams do not use up the places', async () => {
  const streaming = await upstream((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n');
  });
  const gateway = await gatewayFor(streaming.url, { maxConcurrency: 1 });
  const signal = new AbortController();
  const headers = { authorization: `Bearer ${token}` };
  for (let i = 0; i < 4; i++) {
    const stream = await fetch(`${gateway.url}/api/x/a`, { headers, signal: signal.signal });
    expect(stream.status).toBe(200);
  }
  signal.abort();
});

test('a stuck service takes no places of another one', async () => {
  const stuck = await upstream(() => {});
  const file = join(folder, 'two.json');
  const row = (service: string, target: string) => ({ service, prefix: `/api/${service}`, target });
  const fine = await upstream(saying('fine'));
  writeFileSync(file, JSON.stringify({ routes: [row('stuck', stuck.url), row('fine', fine.url)] }));
  const gateway = await Gateway.start({
    ...platform.env,
    ROUTES_FILE: file,
    ROUTE_CONCURRENCY: '50',
    DRAIN_TIMEOUT: '0',
  });
  const signal = new AbortController();
  const headers = { authorization: `Bearer ${token}` };
  const waiting = Array.from({ length: 200 }, () =>
    fetch(`${gateway.url}/api/stuck/a`, { headers, signal: signal.signal }).then(
      ({ status }) => status,
      () => 0,
    ),
  );
  await until(async () => /in_flight\{service="stuck"\} 50/.test(await gateway.metrics()));
  const answers = await Promise.all(
    Array.from({ length: 40 }, () => ask(`${gateway.url}/api/fine/a`, { token })),
  );
  expect(answers.map(({ status }) => status)).toEqual(Array(40).fill(200));
  signal.abort();
  const statuses = await Promise.all(waiting);
  expect(statuses.filter((status) => status === 503).length).toBeGreaterThanOrEqual(100);
  await gateway.stop();
});

test('a name that moves is followed, on busy connections too', async () => {
  const port = await freePort();
  const hosts = join(folder, 'address');
  // Stands in for the resolver: a process cannot be given a DNS server of its own.
  const resolver = join(folder, 'resolver.mjs');
  writeFileSync(
    resolver,
    `import dns from 'node:dns';
     import { readFileSync } from 'node:fs';
     import { syncBuiltinESMExports } from 'node:module';
     const lookup = dns.lookup;
     dns.lookup = (name, options, done) => {
       const address = name === 'moving.test' ? readFileSync(${JSON.stringify(hosts)}, 'utf8') : name;
       return lookup(address, options, done);
     };
     syncBuiltinESMExports();`,
  );
  writeFileSync(hosts, '127.0.0.2');
  await upstream(saying('old'), port, '127.0.0.2');
  await upstream(saying('new'), port, '127.0.0.3');
  const env = { DNS_REFRESH: '0.1', NODE_OPTIONS: `--import=${resolver}` };
  const gateway = await gatewayFor(`http://moving.test:${port}`, {}, env);
  expect(new Set((await askAll(gateway, 5)).map(({ text }) => text))).toEqual(new Set(['old']));
  const traffic = new Traffic(`${gateway.url}/api/x/a`, token, 4);
  // In one step, so that nobody reads half of it.
  writeFileSync(`${hosts}.next`, '127.0.0.3');
  renameSync(`${hosts}.next`, hosts);
  await until(async () => {
    const answers = await askAll(gateway, 20);
    for (const { status, text } of answers) expect([status, text]).toEqual([200, expect.any(String)]);
    return answers.every(({ text }) => text === 'new');
  });
  await traffic.stop();
  expect([...traffic.statuses.keys()]).toEqual([200]);
});
