import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { hmac, jws } from '../setup/jws.ts';
import { RedisServer } from '../setup/redis.ts';
import { until } from '../setup/until.ts';

const OLD = randomBytes(32).toString('hex');
const NEW = randomBytes(32).toString('hex');

let server: RedisServer;
let redis: Redis;
let platform: Platform;
let gateway: Gateway;

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new Redis(server.url);
  platform = await startPlatform({ redisUrl: server.url, gatewaySecret: NEW });
  const routes = join(mkdtempSync(join(tmpdir(), 'routes-')), 'routes.json');
  const { LIMS_URL, RAG_URL } = platform.env;
  writeFileSync(
    routes,
    JSON.stringify({
      routes: [
        { service: 'lims', prefix: '/api/lims/', target: LIMS_URL },
        {
          service: 'rag',
          prefix: '/api/rag/',
          target: RAG_URL,
          permission: 'dataset.read',
          services: ['tes'],
        },
      ],
    }),
  );
  gateway = await Gateway.start({ ...platform.env, GATEWAY_SECRET: `${NEW},${OLD}`, ROUTES_FILE: routes });
});
afterAll(async () => {
  await gateway.stop();
  redis.disconnect();
  await platform.close();
  await server.close();
});

const now = () => Math.floor(Date.now() / 1000);
const claims = (overrides = {}) => ({
  service: 'tes',
  aud: ['gateway'],
  iat: now(),
  exp: now() + 120,
  jti: randomUUID(),
  iss: 'tes',
  ...overrides,
});
const HEADER = { alg: 'HS256', typ: 'JWT' };
const minted = (overrides = {}, secret = NEW) => jws(HEADER, claims(overrides), hmac(secret));
const call = (path: string, serviceToken: string | string[], token?: string) =>
  ask(`${gateway.url}${path}`, {
    headers: { 'x-service-token': serviceToken },
    ...(token === undefined ? {} : { token }),
  });

describe('to a service', () => {
  test('goes a token that the SDK’s middleware accepts, for that service alone', async () => {
    const { json } = await ask(`${gateway.url}/api/lims/x`, {
      token: await platform.iam.issue(USERS.scientist),
    });
    const token = (json.headers as Record<string, string>)['x-service-token'] ?? '';
    // As the SDK does it: HS256 under the shared secret, `aud` a list that holds the service's own name.
    const [header = '', payload = '', signature] = token.split('.');
    const decode = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString());
    expect(createHmac('sha256', NEW).update(`${header}.${payload}`).digest('base64url')).toBe(signature);
    expect(decode(header)).toEqual({ alg: 'HS256', typ: 'JWT' });
    const { service, aud, iat, exp, jti, iss } = decode(payload);
    expect([service, aud, iss]).toEqual(['gateway', ['lims'], 'omnibioai-api-gateway']);
    expect(jti).toMatch(/^[0-9a-f-]{36}$/);
    expect(iat).toBeLessThan(now());
    expect(exp - now()).toBeGreaterThan(60);
    expect(exp - iat).toBeLessThanOrEqual(600);
  });

  test('the caller’s own token never goes', async () => {
    const token = minted();
    const { rawHeaders } = (await call('/api/lims/x', token, await platform.iam.issue(USERS.scientist))).json;
    expect(JSON.stringify(rawHeaders)).not.toContain(token);
    expect((rawHeaders as string[]).filter((name) => /^x.service.token$/i.test(name))).toHaveLength(1);
  });
});

describe('beside a user’s token', () => {
  test('a service acts for the user, under the new and the old secret, and the trail says who', async () => {
    const user = await platform.iam.issue(USERS.scientist);
    for (const secret of [NEW, OLD]) {
      for (const aud of [['gateway'], ['tes', 'gateway'], 'gateway']) {
        const { status, json } = await call(
          '/api/lims/x',
          minted({ aud, service: 'workbench' }, secret),
          user,
        );
        expect(status).toBe(200);
        expect(json.headers).toMatchObject({ 'x-user-id': '1', 'x-token-type': 'user' });
      }
    }
    const called = async () =>
      (await redis.xrange('audit:events', '-', '+'))
        .map(([, [, data = '']]) => JSON.parse(data))
        .filter(({ context }) => context.caller === 'workbench');
    await until(async () => (await called()).length === 6);
    expect(new Set((await called()).map((event) => event.user_id))).toEqual(new Set(['1']));
  });

  test.each([
    ['nobody’s signature', () => minted({}, randomBytes(32).toString('hex'))],
    ['the platform’s JWT_SECRET', () => minted({}, String(platform.env.JWT_SECRET))],
    ['another algorithm', () => jws({ alg: 'HS512', typ: 'JWT' }, claims(), hmac(NEW, 'sha512'))],
    ['no algorithm', () => jws({ alg: 'none' }, claims(), () => Buffer.alloc(0))],
    ['an RSA name over an HMAC', () => jws({ alg: 'RS256', kid: 'x' }, claims(), hmac(NEW))],
    ['an end in the past', () => minted({ exp: now() - 60 })],
    ['no end', () => minted({ exp: undefined })],
    ['a beginning in the future', () => minted({ nbf: now() + 60 })],
    ['no service', () => minted({ service: undefined })],
    ['a service that is no name', () => minted({ service: ['tes'] })],
    ['a type of its own', () => minted({ type: 'access' })],
    [
      'a claim twice',
      () => jws(HEADER, `${JSON.stringify(claims()).slice(0, -1)},"service":"x"}`, hmac(NEW)),
    ],
    ['no token at all', () => ''],
    ['nonsense', () => 'x.y.z'],
  ])('one with %s is 401, whoever the user is', async (_name, token) => {
    const user = await platform.iam.issue(USERS.scientist);
    for (const bearer of [user, undefined]) {
      const answer = await call('/api/rag/x', token(), bearer);
      expect([answer.status, answer.json]).toMatchObject([
        401,
        { error: 'invalid token', reason: 'invalid_service_token' },
      ]);
    }
  });

  test.each([
    [['tes']],
    [['gateway2']],
    [[]],
    ['tes'],
    ['not-the-gateway'],
    [{ gateway: true }],
    [undefined],
  ])('one for %j is 403', async (aud) => {
    const answer = await call('/api/lims/x', minted({ aud }), await platform.iam.issue(USERS.scientist));
    expect([answer.status, answer.json]).toMatchObject([
      403,
      { error: 'forbidden', reason: 'foreign_service_token' },
    ]);
  });

  test('two are one too many, and a good one saves no bad user', async () => {
    const user = await platform.iam.issue(USERS.scientist);
    expect((await call('/api/lims/x', [minted(), minted()], user)).status).toBe(401);
    expect((await call('/api/rag/x', minted(), 'x.y.z')).json.error).toBe('invalid token');
    const basic = { 'x-service-token': minted(), authorization: 'Basic YTpi' };
    expect((await ask(`${gateway.url}/api/rag/x`, { headers: basic })).json.error).toBe('missing token');
  });
});

describe('alone', () => {
  test('a service passes where its name is on the route, as far as policy says so', async () => {
    platform.policy.calls.length = 0;
    platform.policy.fault = () => ({ status: 200, body: '{"allowed":true,"reason":"ok"}' });
    const { status, json } = await call('/api/rag/x', minted());
    expect(status).toBe(200);
    const headers = json.headers as Record<string, string>;
    expect(headers).toMatchObject({
      'x-user-id': '',
      'x-client-id': 'service:tes',
      'x-permissions': 'dataset.read',
      'x-token-type': 'service',
    });
    expect(headers.authorization).toBeUndefined();
    expect(platform.policy.calls[0]?.body).toMatchObject({ user_id: '', permissions: ['dataset.read'] });

    platform.policy.fault = () => ({ status: 200, body: '{"allowed":false,"reason":"no"}' });
    expect((await ask(`${gateway.url}/api/rag/y`, { headers: { 'x-service-token': minted() } })).status).toBe(
      403,
    );
    platform.policy.fault = () => undefined;
  });

  test('nowhere else, and no other', async () => {
    for (const [path, token] of [
      ['/api/lims/x', minted()],
      ['/auth/verify', minted()],
      ['/nowhere', minted()],
      ['/api/rag/x', minted({ service: 'workbench' })],
    ] as const) {
      const answer = await call(path, token);
      expect([answer.status, answer.json.error]).toEqual([401, 'missing token']);
    }
  });

  test('a long answer is not cut while the service’s token is good', async () => {
    platform.policy.fault = () => ({ status: 200, body: '{"allowed":true,"reason":"ok"}' });
    const answer = await call('/api/rag/logs?lines=8&interval=500', minted());
    platform.policy.fault = () => undefined;
    expect(answer.text.match(/data:/g)).toHaveLength(8);
  });
});
