import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, type Dispatcher, request } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { Certificates } from '../setup/certificates.ts';
import { ask } from '../setup/client.ts';
import { freePort } from '../setup/free-port.ts';
import { Gateway } from '../setup/gateway.ts';
import { Nginx } from '../setup/nginx.ts';
import { RedisServer } from '../setup/redis.ts';
import { until } from '../setup/until.ts';
import { Upstream } from '../setup/upstream.ts';

const CONFIG = new URL('../../deploy/nginx.conf', import.meta.url);

let server: RedisServer;
let platform: Platform;
/** IAM's public side. */
let iam: Upstream;
/** A service that stands beside the gateway and asks nginx who is there. */
let guarded: Upstream;
/** A service behind the gateway that echoes what comes over a WebSocket. */
let sockets: Upstream;
let gateway: Gateway;
let nginx: Nginx;
let certificates: Certificates;
let agent: Agent;
let url: string;
let plainPort: number;
let token: string;

/** The configuration as it is delivered, with this machine's addresses in place of a Studio's. */
function derived(replacements: readonly (readonly [string, string])[]): string {
  return replacements.reduce(
    (config, [from, to]) => {
      if (!config.includes(from)) throw new Error(`deploy/nginx.conf has no "${from}" any more`);
      return config.replaceAll(from, to);
    },
    readFileSync(CONFIG, 'utf8'),
  );
}

const hostOf = (of: string) => new URL(of).host;

beforeAll(async () => {
  server = await RedisServer.start();
  platform = await startPlatform({ redisUrl: server.url });
  token = await platform.iam.issue(USERS.scientist);
  [iam, guarded] = await Promise.all([Upstream.start(), Upstream.start()]);
  guarded.handler = (message, response) =>
    response.end(JSON.stringify({ url: message.url, headers: message.headers }));
  iam.handler = (message, response) => response.end(JSON.stringify({ url: message.url }));
  const port = await freePort();
  plainPort = await freePort();
  sockets = await Upstream.start();
  sockets.accept((socket) => {
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  });
  gateway = await Gateway.start({
    ...platform.env,
    LIMS_URL: sockets.url,
    TRUSTED_PROXIES: '127.0.0.1',
  });
  certificates = new Certificates();
  const { cert, key } = certificates.make('localhost');
  const config = derived([
    ['listen 80;', `listen 127.0.0.1:${plainPort};`],
    ['listen [::]:80;', ''],
    ['listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`],
    ['listen [::]:443 ssl;', ''],
    ['/etc/nginx/tls/tls.crt', cert],
    ['/etc/nginx/tls/tls.key', key],
    ['api-gateway:8080', hostOf(gateway.url)],
    ['auth-service:8001', hostOf(iam.url)],
    ['control-center:7070', hostOf(guarded.url)],
    ['worker_processes auto', 'worker_processes 2'],
  ]);
  nginx = await Nginx.start(config, port);
  agent = new Agent({ connect: { rejectUnauthorized: false } }); // the certificate signs itself
  url = `https://127.0.0.1:${port}`;
});
afterAll(async () => {
  await nginx.close();
  await agent.close();
  await gateway.stop();
  await Promise.all([platform.close(), iam.close(), guarded.close(), sockets.close(), server.close()]);
  certificates.close();
});

interface Sent {
  readonly method?: Dispatcher.HttpMethod;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer;
}

async function send(path: string, { method = 'GET', headers = {}, body }: Sent = {}) {
  const answer = await request(url + path, {
    dispatcher: agent,
    method,
    headers,
    ...(body === undefined ? {} : { body }),
  });
  const text = await answer.body.text();
  return { status: answer.statusCode, headers: answer.headers, text, json: parse(text) };
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

const bearer = () => ({ authorization: `Bearer ${token}` });

describe('in front of the gateway', () => {
  test('a request arrives as it was sent, with the client’s address from nginx', async () => {
    const { status, json } = await send('/api/models/v1/a%2Fb?x=%20y', {
      headers: { ...bearer(), 'x-forwarded-for': '198.51.100.1', 'x-user-id': '7' },
    });
    expect([status, json.url]).toEqual([200, '/v1/a%2Fb?x=%20y']);
    expect(json.headers).toMatchObject({
      'x-user-id': '1',
      'x-forwarded-for': '127.0.0.1, 127.0.0.1',
      'x-forwarded-proto': 'https',
    });
  });

  test('the gateway’s refusals come through, ambiguous paths among them', async () => {
    expect((await send('/api/lims/x')).json).toMatchObject({ error: 'missing token' });
    // undici would tidy dots up; an empty segment it leaves alone.
    expect((await send('/api//lims/x', { headers: bearer() })).json).toMatchObject({
      reason: 'ambiguous_path',
    });
  });

  test('an upload larger than nginx’s default streams through', async () => {
    const body = Buffer.alloc(20 * 1024 * 1024, 'ACGT');
    const { json } = await send('/api/workbench/upload', { method: 'POST', headers: bearer(), body });
    expect(json.bytes).toBe(body.length);
  });

  test('events arrive one by one', async () => {
    const { body } = await request(`${url}/api/rag/logs?lines=5&interval=1000`, {
      dispatcher: agent,
      headers: bearer(),
    });
    const [first] = await body
      .iterator({ destroyOnReturn: true })
      [Symbol.asyncIterator]()
      .next()
      .then(({ value }) => [String(value)]);
    expect(first?.match(/data:/g)).toHaveLength(1);
    body.destroy();
  });

  test('a WebSocket goes through both', async () => {
    const socket = new WebSocket(`${url.replace('https', 'wss')}/api/lims/ws`, {
      rejectUnauthorized: false,
      headers: bearer(),
    });
    await once(socket, 'open');
    socket.send('ACGT');
    const [data] = await once(socket, 'message');
    expect(String(data)).toBe('ACGT');
    socket.close();
    await once(socket, 'close');
  });

  test('HTTP is sent to HTTPS', async () => {
    const { status, headers } = await ask(`http://127.0.0.1:${plainPort}/api/lims/x?y=1`);
    expect([status, headers.location]).toEqual([308, 'https://127.0.0.1/api/lims/x?y=1']);
  });
});

describe('auth_request', () => {
  const path = '/_svc/control/report?x=1';

  test('a caller the gateway knows reaches the service, with the gateway’s word for who it is', async () => {
    const { status, json } = await send(path, {
      headers: { ...bearer(), 'x-user-id': '7', 'x-permissions': 'all', 'x-client-id': 'me' },
    });
    expect([status, json.url]).toEqual([200, '/report?x=1']);
    expect(json.headers).toMatchObject({
      'x-user-id': '1',
      'x-organization-id': '10',
      'x-permissions': 'workflow.execute,dataset.read,model.use',
      'x-token-type': 'user',
      authorization: `Bearer ${token}`,
    });
    expect(json.headers).not.toHaveProperty('x-client-id');
  });

  test('anybody else is 401, never 500', async () => {
    const headers = [
      {},
      { authorization: 'Basic YTpi' },
      { authorization: 'Bearer x.y.z' },
      { authorization: `Bearer ${await platform.iam.issue(USERS.scientist, { type: 'refresh' })}` },
      { authorization: `Bearer omni_sk_unknown` },
    ];
    for (const one of headers) {
      const answer = await send(path, { headers: one });
      expect([answer.status, answer.json]).toEqual([401, { error: 'unauthorized' }]);
    }
    platform.iam.service.fault = () => 'reset';
    const fresh = await platform.iam.issue(USERS.scientist);
    expect((await send(path, { headers: { authorization: `Bearer ${fresh}` } })).status).toBe(401);
    platform.iam.service.fault = () => undefined;
  });

  test('the cookie stands in for safe methods alone', async () => {
    const cookie = `omnibioai_access_token=${token}`;
    expect((await send(path, { headers: { cookie } })).status).toBe(200);
    expect((await send(path, { method: 'POST', headers: { cookie } })).status).toBe(401);
    expect((await send(path, { method: 'POST', headers: { cookie, ...bearer() } })).status).toBe(200);
  });
});

describe('the limit', () => {
  /** When requests arrive, in milliseconds: bursts, pauses too short, pauses long enough. */
  const ARRIVALS = [...Array(8).fill(0), 3_000, 7_000, 7_000, 7_000, 13_500, 13_500, 20_500];

  test('admits the same of the same arrivals as the gateway’s own', async () => {
    const own = await Gateway.start({
      ...platform.env,
      IAM_URL: iam.url,
      AUTH_PROXY: 'on',
      TRUSTED_PROXIES: '127.0.0.1',
    });
    const paths = [
      '/auth/login',
      '/roles',
      '/users/7',
      '/orgs',
      '/license/x',
      '/_svc/auth/auth/me',
      '/api/license/x',
    ];
    // Both are warm before the clock starts; neither request counts for the limit.
    await Promise.all([send('/auth/verify'), ask(`${own.url}/auth/verify`)]);
    const startedAt = Date.now();
    const admitted: [nginx: number, gateway: number][] = [];
    for (const [i, arrival] of ARRIVALS.entries()) {
      await until(() => Date.now() - startedAt >= arrival, 25_000);
      const path = paths[i % paths.length] ?? '';
      const [there, here] = await Promise.all([
        send(path),
        ask(own.url + path, { headers: { 'x-forwarded-for': '203.0.113.9' } }),
      ]);
      admitted.push([there.status, here.status]);
      expect(here.status === 200 ? here.json.url : '').toBe(there.status === 200 ? there.json.url : '');
    }
    await own.stop();
    expect(admitted.map(([there]) => there)).toEqual(admitted.map(([, here]) => here));
    expect(admitted.slice(0, 9).map(([there]) => there)).toEqual([...Array(6).fill(200), 429, 429, 429]);
    expect(admitted.slice(9).map(([there]) => there)).toEqual([200, 429, 429, 200, 429, 200]);
  }, 60_000);

  test('says so in JSON, with the time to wait', async () => {
    let answer = await send('/auth/login');
    await until(async () => {
      answer = await send('/auth/login');
      return answer.status === 429;
    });
    expect(answer.headers['retry-after']).toBe('7');
    expect(answer.json).toEqual({ error: 'too many requests', reason: 'rate_limited' });
  });
});
