import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigError, loadConfig } from '../../../src/config/config.ts';
import { describeConfig } from '../../../src/config/describe-config.ts';

const STRONG = 'c0ffee5f2a7b9d1e4c6a8b0d2f4e6a8c';
const OTHER = 'b7e1d93c5a2f4086b1c3d5e7f9a0b2c4';

function faults(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}

function routesFile(content: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'routes-')), 'routes.json');
  writeFileSync(path, content);
  return path;
}

test('defaults are those of the contract', () => {
  const config = loadConfig({});
  expect(config).toMatchObject({
    host: '0.0.0.0',
    port: 8080,
    adminHost: '127.0.0.1',
    adminPort: 9464,
    iamUrl: 'http://omnibioai-auth:8000',
    policyUrl: 'http://omnibioai-policy-engine:8001',
    hpcUrl: 'http://omnibioai-hpc-policy-engine:8002',
    redisUrl: 'redis://redis:6379',
    auditRedisUrl: 'redis://redis:6379',
    jwksUrl: 'http://omnibioai-auth:8000/.well-known/jwks.json',
    drainTimeout: 30_000,
    revocationBound: 3_000,
  });
  expect(config.routes.map(({ service, timeout }) => [service, timeout])).toContainEqual(['rag', 300_000]);
  expect(Object.isFrozen(config)).toBe(true);
});

test('what opens a door beside the bearer token is closed unless it is asked for', () => {
  expect(loadConfig({})).toMatchObject({ serviceAccounts: false, authCookie: null });
  expect(loadConfig({ SERVICE_ACCOUNTS: 'on', AUTH_COOKIE: 'omnibioai_access_token' })).toMatchObject({
    serviceAccounts: true,
    authCookie: 'omnibioai_access_token',
  });
  expect(faults({ SERVICE_ACCOUNTS: 'true', AUTH_COOKIE: 'a=b; c' })).toEqual([
    'SERVICE_ACCOUNTS: expected on or off, got "true"',
    'AUTH_COOKIE: expected the name of a cookie, got "a=b; c"',
  ]);
});

test('an empty REDIS_URL asks for embedded mode, an empty other variable for its default', () => {
  const config = loadConfig({ REDIS_URL: '', PORT: '', IAM_URL: '' });
  expect([config.redisUrl, config.auditRedisUrl, config.port]).toEqual([null, null, 8080]);
});

test('all faults are reported together, each naming its variable, value and expectation', () => {
  const found = faults({
    PORT: 'eighty',
    WORKERS: '0',
    IAM_URL: 'auth:8000',
    ROUTE_TIMEOUT: '-1',
    TRUSTED_PROXIES: '10.0.0.0/8,nonsense,10.0.0.0/33',
    LOG_LEVEL: 'loud',
  });
  expect(found).toContain('PORT: expected a whole number from 0 to 65535, got "eighty"');
  expect(found).toContain('WORKERS: expected a whole number from 1 to 1024, got "0"');
  expect(found).toContain('IAM_URL: expected a URL beginning with http:// or https://, got "auth:8000"');
  for (const name of ['ROUTE_TIMEOUT', 'LOG_LEVEL', 'TRUSTED_PROXIES: ']) {
    expect(found.some((line) => line.startsWith(name))).toBe(true);
  }
  expect(found.filter((line) => line.startsWith('TRUSTED_PROXIES'))).toHaveLength(2);
});

describe('in production secrets must be strong', () => {
  const env = { NODE_ENV: 'production', JWT_SECRET: STRONG, GATEWAY_SECRET: OTHER };

  test('strong ones pass, also a new and an old one', () => {
    expect(faults(env)).toEqual([]);
    expect(loadConfig({ ...env, GATEWAY_SECRET: `${OTHER},${STRONG}` }).gatewaySecrets).toEqual([
      OTHER,
      STRONG,
    ]);
  });

  test.each([
    ['', 'is missing'],
    ['weak!', 'is shorter than 32 bytes'],
    ['change-me-change-me-change-me-change-me', 'is a well-known placeholder'],
    ['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'repeats a few characters'],
  ])('%j does not', (secret, problem) => {
    const found = faults({ ...env, JWT_SECRET: secret });
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(new RegExp(`^JWT_SECRET: ${problem}`));
    if (secret !== '') expect(found[0]).not.toContain(secret);
  });

  test('a weak secret is reported beside other faults', () => {
    expect(faults({ ...env, GATEWAY_SECRET: 'weak', PORT: 'x' })).toHaveLength(2);
  });
});

test('secrets and passwords do not show in the start line', () => {
  const shown = JSON.stringify(
    describeConfig(
      loadConfig({
        JWT_SECRET: STRONG,
        GATEWAY_SECRET: OTHER,
        REDIS_URL: 'redis+cluster://:hunter22@r:1,s:1',
      }),
    ),
  );
  for (const secret of [STRONG, OTHER, 'hunter22']) expect(shown).not.toContain(secret);
});

describe('ROUTES_FILE', () => {
  test('replaces the table', () => {
    const path = routesFile(
      JSON.stringify({
        routes: [
          {
            service: 'servicenow',
            prefix: '/api/servicenow/',
            target: 'http://servicenow:8097',
            permission: 'servicenow_incident.read',
          },
        ],
      }),
    );
    expect(loadConfig({ ROUTES_FILE: path }).routes).toEqual([
      {
        service: 'servicenow',
        prefix: '/api/servicenow',
        legacyPrefix: '/servicenow',
        acceptsLegacyPrefix: false,
        targets: ['http://servicenow:8097'],
        permission: 'servicenow_incident.read',
        compute: false,
        submissions: [],
        timeout: 15_000,
        maxBody: 10_737_418_240,
        maxConcurrency: 1024,
        healthCheck: null,
        tls: null,
        allowEncodedSlash: false,
        upgrades: ['websocket'],
        services: [],
        identityAssertion: false,
      },
    ]);
  });

  test('faults carry their JSON path', () => {
    const path = routesFile(
      JSON.stringify({
        routes: [
          { service: 'A b', prefix: '/api/../x', target: 'ftp://x', compute: 'yes' },
          { service: 'b', prefix: '/same', target: 'http://b', typo: 1 },
        ],
      }),
    );
    const found = faults({ ROUTES_FILE: path });
    for (const jsonPath of [
      '$.routes[0].service',
      '$.routes[0].prefix',
      '$.routes[0].target',
      '$.routes[0].compute',
      '$.routes[1]',
    ]) {
      expect(found.some((line) => line.startsWith(`ROUTES_FILE: ${jsonPath}:`))).toBe(true);
    }
  });

  test('two rows cannot share a prefix; text that is not JSON and a missing file are said so', () => {
    const row = { service: 'a', prefix: '/x', target: 'http://a' };
    expect(faults({ ROUTES_FILE: routesFile(JSON.stringify({ routes: [row, row] })) })[0]).toContain(
      'already taken by routes[0]',
    );
    expect(faults({ ROUTES_FILE: routesFile('{') })[0]).toMatch(/^ROUTES_FILE: \$ is not JSON/);
    expect(faults({ ROUTES_FILE: '/nowhere/routes.json' })[0]).toContain('cannot be read (ENOENT)');
  });
});

test('CORS_ORIGINS takes origins as browsers write them and nothing else', () => {
  const { corsOrigins } = loadConfig({ CORS_ORIGINS: 'https://a.example, http://localhost:5173,' });
  expect([...corsOrigins]).toEqual(['https://a.example', 'http://localhost:5173']);
  expect(loadConfig({}).corsOrigins.size).toBe(0);
  const wrong = [
    '*',
    'null',
    'https://a.example/',
    'https://A.example',
    'https://a.example:443',
    'a.example',
  ];
  for (const value of [...wrong, 'https://*.example', 'ftp://a.example', 'https://a.example,null']) {
    expect(faults({ CORS_ORIGINS: value }), value).toEqual([
      `CORS_ORIGINS: expected origins such as https://studio.example.org, without path or default port, got "${value}"`,
    ]);
  }
});
