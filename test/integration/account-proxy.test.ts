import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { RedisServer } from '../setup/redis.ts';
import { until } from '../setup/until.ts';
import { Upstream } from '../setup/upstream.ts';

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

let server: RedisServer;
let redis: Redis;
let platform: Platform;
/** IAM's public side, as far as it concerns the gateway: it shows what it got. */
let iam: Upstream;
let gateway: Gateway;
let replica: Gateway;
let clients = 0;

/** A client nobody has seen yet, behind the trusted proxy. */
const newClient = () => `203.0.113.${++clients}`;

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new Redis(server.url, { maxRetriesPerRequest: null });
  redis.on('error', () => {}); // the server is stopped on purpose
  platform = await startPlatform({ redisUrl: server.url });
  iam = await Upstream.start();
  const env = {
    ...platform.env,
    IAM_URL: iam.url,
    AUTH_PROXY: 'on',
    AUTH_COOKIE: 'omnibioai_access_token',
    TRUSTED_PROXIES: '127.0.0.1',
  };
  [gateway, replica] = await Promise.all([Gateway.start({ ...env, WORKERS: '2' }), Gateway.start(env)]);
});
afterAll(async () => {
  await Promise.all([gateway.stop(), replica.stop()]);
  redis.disconnect();
  await Promise.all([platform.close(), iam.close(), server.close()]);
});
beforeEach(() => {
  iam.handler = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const { method, url, headers, rawHeaders } = request;
      const body = Buffer.concat(chunks).toString();
      response.end(JSON.stringify({ method, url, headers, rawHeaders, body }));
    });
  };
});

const send = (client: string, path = '/auth/login', options: Parameters<typeof ask>[1] = {}, at = gateway) =>
  ask(`${at.url}${path}`, {
    ...options,
    headers: { 'x-forwarded-for': client, ...options.headers },
  });

/** Requests that a gateway counted for itself, because Redis did not answer in time. */
async function countedAlone(): Promise<number> {
  const metrics = `${await gateway.metrics()}\n${await replica.metrics()}`;
  const lines = metrics.matchAll(/^gateway_rate_limit_requests_total\{store="process".*\} (\d+)$/gm);
  return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Does something with a client of its own, again where the machine was too busy for Redis to count it all. */
async function together<T>(run: (client: string) => Promise<T>): Promise<T> {
  for (;;) {
    const before = await countedAlone();
    const result = await run(newClient());
    if ((await countedAlone()) === before) return result;
  }
}

async function statuses(client: string, n: number, at = gateway): Promise<number[]> {
  const answers: number[] = [];
  for (let i = 0; i < n; i++) answers.push((await send(client, '/auth/login', {}, at)).status);
  return answers;
}

describe('routing', () => {
  test.each([
    ['/auth/login?next=%2Fhome', '/auth/login?next=%2Fhome'],
    ['/auth', '/auth'],
    ['/_svc/auth/auth/login', '/auth/login'],
    ['/_svc/auth', '/'],
    ['/license/validate', '/license/validate'],
    ['/api/license/validate', '/license/validate'],
    ['/roles', '/roles'],
    ['/users/7/roles', '/users/7/roles'],
    ['/orgs', '/orgs'],
    ['/orgs/3/teams', '/orgs/3/teams'],
  ])('%s reaches IAM as %s, without a token', async (path, atIam) => {
    const { status, json } = await send(newClient(), path);
    expect([status, json.url]).toEqual([200, atIam]);
  });

  test('everything of the request arrives but what only the gateway may say', async () => {
    const token = await platform.iam.issue(USERS.scientist);
    const { json } = await send(newClient(), '/auth/logout', {
      json: { refresh_token: 'x' },
      headers: {
        authorization: `Bearer ${token}`,
        cookie: `omnibioai_access_token=${token}; oauth_state=1`,
        'x-user-id': '1',
        'x-api-key-exchange-secret': 'guess',
        'x-custom': 'kept',
      },
    });
    const { method, body, headers, rawHeaders } = json as unknown as Seen;
    expect([method, body]).toEqual(['POST', '{"refresh_token":"x"}']);
    // IAM judges the caller itself, so it gets what the caller showed.
    expect(headers).toMatchObject({
      authorization: `Bearer ${token}`,
      cookie: 'oauth_state=1',
      'x-custom': 'kept',
      'x-trace-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      'x-forwarded-for': expect.stringContaining('203.0.113.'),
    });
    const names = rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
    for (const claim of [
      'x-user-id',
      'x-permissions',
      'x-token-type',
      'x-service-token',
      'x-internal-service',
    ]) {
      expect(names).not.toContain(claim);
    }
    expect(names).not.toContain('x-api-key-exchange-secret');
    expect(names.filter((name) => name === 'authorization')).toHaveLength(1);
  });

  test('two Authorization headers, an ambiguous path: refused', async () => {
    const twice = { headers: { authorization: ['Bearer a', 'Bearer b'] } };
    expect((await send(newClient(), '/auth/me', twice)).status).toBe(400);
    for (const path of ['/auth/../users/1', '/auth//x', '/auth/%2e%2e/x', '/auth/a%2fb']) {
      expect((await send(newClient(), path)).json.reason).toBe('ambiguous_path');
    }
  });

  test('a body larger than is allowed anywhere is refused before IAM sees it', async () => {
    const { status } = await send(newClient(), '/auth/login', {
      method: 'POST',
      headers: { 'content-length': String(2 ** 40), connection: 'close' },
      body: '',
    });
    expect(status).toBe(413);
  });

  test('the gateway’s own endpoint stays its own, and is never limited', async () => {
    const client = newClient();
    const answers = await Promise.all(Array.from({ length: 30 }, () => send(client, '/auth/verify')));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
  });

  test('unless it is asked for, these paths are as unknown as any', async () => {
    const other = await Gateway.start({ ...platform.env, IAM_URL: iam.url });
    expect((await ask(`${other.url}/auth/login`)).status).toBe(401);
    await other.stop();
  });

  test('each request makes one event, refused ones as well', async () => {
    const client = await together(async (fresh) => {
      await statuses(fresh, 7);
      return fresh;
    });
    const events = async () =>
      (await redis.xrange('audit:events', '-', '+'))
        .map(([, [, data = '']]) => JSON.parse(data))
        .filter(({ context }) => context.client === client);
    await until(async () => (await events()).length === 7);
    expect(
      (await events()).map((event) => [event.event_type, event.status_code, event.decision, event.reason]),
    ).toEqual([...Array(6).fill(['request', 200, 'allow', null]), ['request', 429, 'deny', 'rate_limited']]);
    expect((await events())[0]).toMatchObject({ user_id: null, context: { route: 'iam' } });
  });
});

describe('limit', () => {
  test('six at once, then one every six seconds, with the time to wait', async () => {
    const { client, first, answer } = await together(async (fresh) => ({
      client: fresh,
      first: await statuses(fresh, 8),
      answer: await send(fresh),
    }));
    expect(first).toEqual([...Array(6).fill(200), 429, 429]);
    expect(answer.json).toEqual({
      error: 'too many requests',
      reason: 'rate_limited',
      trace_id: answer.headers['x-trace-id'],
    });
    const wait = Number(answer.headers['retry-after']);
    expect(wait).toBeGreaterThanOrEqual(1);
    expect(wait).toBeLessThanOrEqual(7);
    const refusedAt = Date.now();
    await until(() => Date.now() - refusedAt > wait * 1000);
    expect(await statuses(client, 2)).toEqual([200, 429]);
  });

  test('all paths, workers and replicas count together', async () => {
    const paths = [
      '/auth/login',
      '/license/x',
      '/roles',
      '/users/1',
      '/orgs',
      '/_svc/auth/x',
      '/api/license/x',
    ];
    const answers = await together((client) =>
      Promise.all(
        Array.from({ length: 40 }, (_, i) => send(client, paths[i % 7], {}, i % 2 === 0 ? gateway : replica)),
      ),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(6);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(34);
  });

  test('each client has its own, by what the trusted proxy says', async () => {
    expect(await together((client) => statuses(`${client}, 127.0.0.1`, 7))).toContain(429);
    // What a client claims stands to the left of what the proxy saw.
    const claiming = await together((client) =>
      Promise.all(Array.from({ length: 7 }, (_, i) => send(`198.51.100.${i}, ${client}`))),
    );
    expect(claiming.filter(({ status }) => status === 429)).toHaveLength(1);
  });

  test('a client of IPv6 is its network', async () => {
    const { members, stranger } = await together(async (client) => {
      const network = `2001:db8:${client.split('.')[3]}`;
      return {
        members: await Promise.all(Array.from({ length: 7 }, (_, i) => send(`${network}:1:${i}::1`))),
        stranger: await send(`${network}:2::1`),
      };
    });
    expect(members.filter(({ status }) => status === 429)).toHaveLength(1);
    expect(stranger.status).toBe(200);
  });

  test('while Redis is away each process goes on from what it saw', async () => {
    const client = newClient();
    expect(await statuses(client, 4, replica)).toEqual(Array(4).fill(200));
    server.signal('SIGSTOP');
    expect(await statuses(client, 4, replica)).toEqual([200, 200, 429, 429]);
    expect(await statuses(newClient(), 7, replica)).toEqual([...Array(6).fill(200), 429]);
    expect(await replica.metrics()).toMatch(
      /rate_limit_requests_total\{store="process",result="refused"\} [1-9]/,
    );
    server.signal('SIGCONT');
    await until(async () => (await redis.ping().catch(() => '')) === 'PONG');
  });

  test('what Redis holds of it is under the gateway’s prefix and goes by itself', async () => {
    const client = newClient();
    await until(
      async () => (await statuses(client, 1)).includes(200) && (await redis.exists(key(client))) === 1,
    );
    expect(await redis.pttl(key(client))).toBeGreaterThan(50_000);
  });
});

const key = (client: string) => `gateway:{limit:${client}}`;
