import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';

let platform: Platform;
let env: Record<string, string>;
const folder = mkdtempSync(join(tmpdir(), 'identity-keys-'));

beforeAll(async () => {
  platform = await startPlatform();
  const { LIMS_URL, RAG_URL, TES_URL } = platform.env;
  const routes = join(folder, 'routes.json');
  writeFileSync(
    routes,
    JSON.stringify({
      routes: [
        { service: 'lims', prefix: '/api/lims/', target: LIMS_URL, identityAssertion: true },
        { service: 'rag', prefix: '/api/rag/', target: RAG_URL, identityAssertion: true },
        { service: 'tes', prefix: '/api/tes/', target: TES_URL },
      ],
    }),
  );
  env = { ...platform.env, ROUTES_FILE: routes };
});
afterAll(() => platform.close());

function keyFile(name: string, key: KeyObject, format: 'pem' | 'jwk'): string {
  const path = join(folder, name);
  writeFileSync(
    path,
    format === 'pem'
      ? key.export({ type: 'pkcs8', format: 'pem' })
      : JSON.stringify(key.export({ format: 'jwk' })),
  );
  return path;
}

async function keysOf(gateway: Gateway): Promise<JSONWebKeySet> {
  const { status, text, headers } = await ask(`${gateway.url}/.well-known/jwks.json`);
  expect([status, headers['content-type']]).toEqual([200, 'application/json']);
  return JSON.parse(text);
}

/** What the service got. */
async function received(gateway: Gateway, path: string, token: string, headers = {}): Promise<string[]> {
  const { json } = await ask(`${gateway.url}${path}`, { token, headers });
  const raw = json.rawHeaders as string[];
  return raw.filter((_, i) => raw[i - 1]?.toLowerCase() === 'x-identity-assertion');
}

/** As a service does it that knows nothing but the gateway's keys. */
const verify = (assertion: string, keys: JSONWebKeySet, audience: string) =>
  jwtVerify(assertion, createLocalJWKSet(keys), {
    issuer: 'omnibioai-api-gateway',
    audience,
    algorithms: ['EdDSA', 'RS256'],
  });

describe('with a key made at the start', () => {
  let gateway: Gateway;
  beforeAll(async () => {
    gateway = await Gateway.start({ ...env, WORKERS: '2' });
  });
  afterAll(() => gateway.stop());

  test('a service can verify who is calling, for itself alone', async () => {
    const token = await platform.iam.issue(USERS.scientist, { jti: 'session-1' });
    const [assertion = '', ...more] = await received(gateway, '/api/lims/x', token);
    expect(more).toEqual([]);
    const keys = await keysOf(gateway);
    const { payload } = await verify(assertion, keys, 'lims');
    expect(payload).toMatchObject({
      sub: '1',
      user_id: '1',
      client_id: null,
      email: 'scientist@sandbox.local',
      org_id: '10',
      roles: ['researcher'],
      permissions: ['workflow.execute', 'dataset.read', 'model.use'],
      token_type: 'user',
      sid: 'session-1',
      trace_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect((payload.exp ?? 0) - Date.now() / 1000).toBeGreaterThan(30);
    await expect(verify(assertion, keys, 'rag')).rejects.toThrow('aud');
  });

  test('one serves many requests; service and user have their own', async () => {
    const single = await Gateway.start(env);
    const token = await platform.iam.issue(USERS.scientist);
    const other = await platform.iam.issue(USERS.gpu);
    const seen = new Set<string>();
    for (let i = 0; i < 5; i++) seen.add(String(await received(single, '/api/lims/x', token)));
    expect(seen.size).toBe(1);
    seen.add(String(await received(single, '/api/rag/x', token)));
    seen.add(String(await received(single, '/api/lims/x', other)));
    expect(seen.size).toBe(3);
    await single.stop();
  });

  test('all workers sign with one key', async () => {
    const keys = await keysOf(gateway);
    expect(keys.keys).toHaveLength(1);
    expect(keys.keys[0]).not.toHaveProperty('d');
    const answers = await Promise.all(
      Array.from({ length: 40 }, async () =>
        received(gateway, '/api/lims/x', await platform.iam.issue(USERS.scientist)),
      ),
    );
    for (const [assertion = ''] of answers) await verify(assertion, keys, 'lims');
  });

  test('the client’s own never arrives, and a route that does not ask gets none', async () => {
    const token = await platform.iam.issue(USERS.scientist);
    const forged = { 'x-identity-assertion': 'forged', x_identity_assertion: 'forged' };
    const [assertion] = await received(gateway, '/api/lims/x', token, forged);
    expect(assertion).toMatch(/^ey/);
    expect(await received(gateway, '/api/tes/x', token, forged)).toEqual([]);
  });

  test('the keys are for everybody, and for reading', async () => {
    const { status } = await ask(`${gateway.url}/.well-known/jwks.json`, { method: 'POST' });
    expect(status).toBe(405);
  });
});

describe('with IDENTITY_KEY', () => {
  const { privateKey: ed } = generateKeyPairSync('ed25519');
  const { privateKey: rsa } = generateKeyPairSync('rsa', { modulusLength: 2048 });

  test('the first one signs, by EdDSA or RS256, and the others are published', async () => {
    for (const [first, second, alg] of [
      [keyFile('ed.pem', ed, 'pem'), keyFile('rsa.pem', rsa, 'pem'), 'EdDSA'],
      [keyFile('rsa.jwk', rsa, 'jwk'), keyFile('ed.jwk', ed, 'jwk'), 'RS256'],
    ] as const) {
      const gateway = await Gateway.start({ ...env, IDENTITY_KEY: `${first}, ${second}` });
      const keys = await keysOf(gateway);
      expect(keys.keys.map((key) => key.alg).sort()).toEqual(['EdDSA', 'RS256']);
      const [assertion = ''] = await received(
        gateway,
        '/api/lims/x',
        await platform.iam.issue(USERS.scientist),
      );
      expect(decodeProtectedHeader(assertion).alg).toBe(alg);
      await verify(assertion, keys, 'lims');
      await gateway.stop();
    }
  });

  test('what is no such key stops the start, and nothing of it is shown', async () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
    const { privateKey: ec } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const files = [
      '/nowhere.pem',
      keyFile('weak.pem', weak, 'pem'),
      keyFile('ec.jwk', ec, 'jwk'),
      join(folder, 'routes.json'),
    ];
    const gateway = await Gateway.spawn({ ...env, IDENTITY_KEY: files.join(',') });
    await expect.poll(() => gateway.process.exitCode, { timeout: 15_000 }).toBe(78);
    const lines = gateway.output.split('\n').filter((line) => line.startsWith('IDENTITY_KEY: '));
    expect(lines).toHaveLength(4);
    expect(lines[0]).toContain('/nowhere.pem cannot be read (ENOENT)');
    for (const line of lines) expect(line).toContain('expected an Ed25519 or RSA key of at least 2048 bits');
    expect(gateway.output).not.toMatch(/PRIVATE|"d"/);
    await gateway.stop();
  });
});
