import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { type Answer, ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { RedisServer } from '../setup/redis.ts';
import { until } from '../setup/until.ts';
import { Upstream } from '../setup/upstream.ts';

const STUDIO = 'https://studio.example.org';

let server: RedisServer;
let redis: Redis;
let platform: Platform;
let upstream: Upstream;
let gateway: Gateway;
let plain: Gateway;
let token: string;
let asked = 0;

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new Redis(server.url);
  platform = await startPlatform({ redisUrl: server.url });
  upstream = await Upstream.start();
  upstream.handler = (_request, response) => {
    asked++;
    response.writeHead(200, {
      'access-control-allow-origin': '*',
      'Access-Control-Allow-Headers': 'x-of-the-service',
      vary: 'Accept-Encoding',
    });
    response.end('answer');
  };
  const env = { ...platform.env, LIMS_URL: upstream.url };
  [gateway, plain] = await Promise.all([
    Gateway.start({ ...env, CORS_ORIGINS: `${STUDIO},http://localhost:5173` }),
    Gateway.start({ ...env, AUDIT_MODE: 'off' }),
  ]);
  token = await platform.iam.issue(USERS.scientist);
});
afterAll(async () => {
  await Promise.all([gateway.stop(), plain.stop()]);
  redis.disconnect();
  await upstream.close();
  await platform.close();
  await server.close();
});

const preflight = (headers: Record<string, string | string[]>, path = '/api/lims/x', at = gateway) =>
  ask(at.url + path, {
    method: 'OPTIONS',
    headers: { 'access-control-request-method': 'PUT', ...headers },
  });

function accessControl({ headers }: Answer): string[] {
  return Object.keys(headers).filter((name) => name.startsWith('access-control-'));
}

describe('preflights', () => {
  test.each(['/api/lims/x', '/api/tes/v1/tasks', '/auth/verify', '/health', '/nowhere'])(
    'of a listed origin to %s are answered without a token, by the gateway itself',
    async (path) => {
      asked = 0;
      const answer = await preflight(
        { origin: STUDIO, 'access-control-request-headers': 'authorization,content-type, x-own' },
        path,
      );
      expect([answer.status, answer.text, asked]).toEqual([204, '', 0]);
      expect(answer.headers).toMatchObject({
        'access-control-allow-origin': STUDIO,
        'access-control-allow-credentials': 'true',
        'access-control-allow-methods': expect.stringMatching(/PUT, PATCH, DELETE/),
        'access-control-allow-headers': 'authorization,content-type, x-own',
        'access-control-max-age': '7200',
        vary: 'Origin, Access-Control-Request-Headers',
        'x-trace-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      });
      expect(answer.headers).not.toHaveProperty('content-length');
    },
  );

  test.each([
    'https://evil.example.org',
    'https://studio.example.org.evil.example',
    'https://studio.example.org:443',
    'https://STUDIO.example.org',
    'http://studio.example.org',
    'null',
    '*',
    '',
  ])('of %o are requests like any other', async (origin) => {
    const answer = await preflight({ origin });
    expect([answer.status, answer.json.error]).toEqual([401, 'missing token']);
    expect(accessControl(answer)).toEqual([]);
    expect(answer.headers.vary).toBe('Origin');
  });

  test('two origins are none', async () => {
    const answer = await preflight({ origin: [STUDIO, STUDIO] });
    expect([answer.status, accessControl(answer)]).toEqual([401, []]);
  });

  test('OPTIONS without the question for a method goes to the service', async () => {
    const answer = await ask(`${gateway.url}/api/lims/x`, {
      method: 'OPTIONS',
      token,
      headers: { origin: STUDIO },
    });
    expect([answer.status, answer.text]).toEqual([200, 'answer']);
  });

  test('an ambiguous path is refused all the same, in a way the page can read', async () => {
    const answer = await preflight({ origin: STUDIO }, '/api/lims//x');
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([400, STUDIO]);
  });

  test('each makes one audit event', async () => {
    await preflight({ origin: STUDIO }, '/api/lims/audited');
    const events = async () =>
      (await redis.xrange('audit:events', '-', '+'))
        .map(([, [, data = '']]) => JSON.parse(data))
        .filter(({ action }) => action === 'OPTIONS /api/lims/audited');
    await until(async () => (await events()).length > 0);
    expect(await events()).toEqual([
      expect.objectContaining({ event_type: 'request', status_code: 204, user_id: null, decision: 'allow' }),
    ]);
  });
});

describe('answers', () => {
  const allowed = {
    'access-control-allow-origin': STUDIO,
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': expect.stringContaining('X-Trace-Id'),
  };

  test('carry the gateway’s headers in place of the service’s', async () => {
    const answer = await ask(`${gateway.url}/api/lims/x`, { token, headers: { origin: STUDIO } });
    expect(answer.headers).toMatchObject(allowed);
    expect(accessControl(answer)).toHaveLength(3);
    expect(answer.headers.vary).toBe('Origin, Accept-Encoding');
  });

  test('do so when they are refusals and errors, too', async () => {
    const headers = { origin: STUDIO };
    const viewer = await platform.iam.issue(USERS.viewer);
    const answers = await Promise.all([
      ask(`${gateway.url}/api/lims/x`, { headers }),
      ask(`${gateway.url}/api/tes/x`, { headers, token: viewer }),
      ask(`${gateway.url}/nowhere`, { headers, token }),
      ask(`${gateway.url}/health`, { headers }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([401, 403, 404, 200]);
    for (const answer of answers) expect(answer.headers).toMatchObject(allowed);
  });

  test('to other pages, and to none, say nothing of the kind', async () => {
    for (const headers of [{ origin: 'https://evil.example.org' }, { origin: 'null' }, {}]) {
      const answer = await ask(`${gateway.url}/api/lims/x`, { token, headers });
      expect([answer.status, accessControl(answer)]).toEqual([200, []]);
      expect(answer.headers.vary).toBe('Origin, Accept-Encoding');
    }
  });
});

test('without CORS_ORIGINS preflights need a token and the service speaks for itself', async () => {
  expect((await preflight({ origin: STUDIO }, '/api/lims/x', plain)).status).toBe(401);
  const answer = await ask(`${plain.url}/api/lims/x`, {
    method: 'OPTIONS',
    token,
    headers: { origin: STUDIO, 'access-control-request-method': 'PUT' },
  });
  expect([answer.status, answer.text]).toEqual([200, 'answer']);
  expect(answer.headers).toMatchObject({ 'access-control-allow-origin': '*', vary: 'Accept-Encoding' });
});
