import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Fault, JsonService } from '../../src/sandbox/http-service.ts';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { accessClaims, jws, rsa, rsaKey } from '../setup/jws.ts';
import { until } from '../setup/until.ts';

type Key = Awaited<ReturnType<typeof rsaKey>>;

const KEYS = '/tenant/keys.json';
const YES = JSON.stringify({ valid: true, user_id: 1, roles: [], permissions: [], org_id: null });

let platform: Platform;
let jwks: JsonService;
let gateway: Gateway;
let published: Key[];
let names = 0;

/** IAM has one key at a time, and no overlap (contract §3). */
async function rotate(): Promise<Key> {
  const key = await rsaKey(`key-${++names}`);
  published = [key];
  return key;
}

const signed = (key: Key) =>
  jws({ alg: 'RS256', typ: 'JWT', kid: key.jwk.kid }, accessClaims(), rsa(key.privateKey));

async function statusOf(token: string): Promise<number> {
  return (await ask(`${gateway.url}/auth/verify`, { token })).status;
}

beforeAll(async () => {
  platform = await startPlatform();
  jwks = await JsonService.start(() => ({ body: { keys: published.map(({ jwk }) => jwk) } }));
  platform.iam.service.fault = (path) => (path === '/auth/validate' ? { status: 200, body: YES } : undefined);
});
afterAll(async () => {
  await Promise.all([platform.close(), jwks.close()]);
});
beforeEach(async (context) => {
  published = [];
  jwks.fault = () => undefined;
  jwks.latency = 0;
  jwks.calls.length = 0;
  gateway = await Gateway.start({ ...platform.env, IAM_JWKS_URL: `${jwks.url}${KEYS}`, IAM_TIMEOUT: '2' });
  context.onTestFinished(async () => {
    await gateway.stop();
  });
});

test('a token under a new key works at once, again and again, and the old key is gone', async () => {
  for (let i = 0; i < 4; i++) {
    const old = published[0];
    const key = await rotate();
    expect(await statusOf(signed(key))).toBe(200);
    if (old !== undefined) expect(await statusOf(signed(old))).toBe(401);
  }
});

test('many tokens under an unknown key cost one fetch', async () => {
  const key = await rotate();
  jwks.latency = 200;
  const statuses = await Promise.all(Array.from({ length: 30 }, () => statusOf(signed(key))));
  expect(statuses).toEqual(Array(30).fill(200));
  expect(jwks.calls.map(({ method, path }) => `${method} ${path}`)).toEqual([`GET ${KEYS}`]);
});

test('a flood of invented names costs a few fetches, and tokens under known keys nothing', async () => {
  const key = await rotate();
  expect(await statusOf(signed(key))).toBe(200);
  const startedAt = Date.now();
  for (let i = 0; i < 60; i++) {
    const stranger = { ...key, jwk: { ...key.jwk, kid: `invented-${i}` } };
    expect(await statusOf(signed(stranger))).toBe(401);
    expect(await statusOf(signed(key))).toBe(200);
  }
  // The first one, two at once, then one in five seconds.
  expect(jwks.calls.length).toBeLessThanOrEqual(4 + Math.floor((Date.now() - startedAt) / 5000));
  // Whoever was refused meanwhile is not remembered: the next rotation works once the flood is over.
  const next = await rotate();
  await until(async () => (await statusOf(signed(next))) === 200);
});

test('while the key set cannot be had, known keys work and unknown ones are refused', async () => {
  let key = await rotate();
  expect(await statusOf(signed(key))).toBe(200);
  const faults: Fault[] = [
    'hang',
    'reset',
    { status: 500, body: '{"keys":[]}' },
    { status: 200, body: '<html>' },
    { status: 200, body: '{}' },
    { status: 200, body: '{"keys":[null]}' },
    // More than any key set needs is not taken into memory.
    { status: 200, body: JSON.stringify({ keys: [], padding: 'x'.repeat(2 ** 20) }) },
  ];
  for (const fault of faults) {
    jwks.fault = () => fault;
    const next = await rotate();
    const answer = await ask(`${gateway.url}/auth/verify`, { token: signed(next) });
    expect([answer.status, answer.json]).toMatchObject([
      401,
      { error: 'invalid token', reason: 'iam_unavailable' },
    ]);
    for (let i = 0; i < 5; i++) expect(await statusOf(signed(key))).toBe(200);
    jwks.fault = () => undefined;
    await until(async () => (await statusOf(signed(next))) === 200, 3_000);
    key = next;
  }
});

test('a key set that cannot be had at the start is asked for again, not on every request', async () => {
  jwks.fault = () => ({ status: 503, body: '{}' });
  const key = await rotate();
  const startedAt = Date.now();
  for (let i = 0; i < 30; i++) expect(await statusOf(signed(key))).toBe(401);
  expect(jwks.calls.length).toBeLessThanOrEqual(1 + Math.ceil((Date.now() - startedAt) / 1000));
  jwks.fault = () => undefined;
  await until(async () => (await statusOf(signed(key))) === 200, 3_000);
});

test('keys of other kinds in the set are no keys', async () => {
  const key = await rotate();
  const weak = await rsaKey('weak', 1024);
  const forged = Buffer.from('attacker-controlled-secret-000000').toString('base64url');
  published = [
    { ...key, jwk: { ...key.jwk, kid: 'for-encryption', use: 'enc' } },
    { ...key, jwk: { ...key.jwk, kid: 'for-another', alg: 'RS512' } },
    { ...key, jwk: { kty: 'oct', k: forged, kid: 'symmetric', alg: 'RS256' } },
    weak,
    key,
  ];
  expect(await statusOf(signed(key))).toBe(200);
  for (const kid of ['for-encryption', 'for-another', 'symmetric', 'missing']) {
    expect(await statusOf(signed({ ...key, jwk: { ...key.jwk, kid } }))).toBe(401);
  }
  expect(await statusOf(signed(weak))).toBe(401);
});
