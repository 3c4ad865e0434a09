import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';

let platform: Platform;
let gateway: Gateway;

beforeAll(async () => {
  platform = await startPlatform();
  gateway = await Gateway.start({
    ...platform.env,
    IAM_TIMEOUT: '0.3',
    POLICY_TIMEOUT: '0.3',
    HPC_TIMEOUT: '0.3',
    POLICY_CACHE_TTL: '30',
  });
});
afterAll(async () => {
  await gateway.stop();
  await platform.close();
});
beforeEach(() => {
  for (const engine of [platform.iam.service, platform.policy, platform.hpc.service]) {
    engine.fault = () => undefined;
    engine.calls.length = 0;
  }
});

const scientist = (overrides = {}) => platform.iam.issue(USERS.scientist, overrides);

describe('own endpoints', () => {
  test('health and version need no token and carry a trace id', async () => {
    const health = await ask(`${gateway.url}/health`);
    expect([health.status, health.text]).toEqual([200, '{"status":"ok"}']);
    const version = await ask(`${gateway.url}/version`);
    expect(version.json).toEqual({ service: 'omnibioai-api-gateway', version: expect.any(String) });
    for (const { headers } of [health, version]) expect(headers['x-trace-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect((await ask(`${gateway.url}/health`, { method: 'POST' })).status).toBe(405);
  });

  test('/auth/verify tells who the caller is, in body and headers, without policy and quota', async () => {
    const answer = await ask(`${gateway.url}/auth/verify`, {
      token: await platform.iam.issue(USERS.viewer),
      headers: { 'x-original-uri': '/x' },
    });
    expect([answer.status, answer.json]).toEqual([
      200,
      { authenticated: true, user: { id: '2', roles: ['viewer'] } },
    ]);
    expect(answer.headers).toMatchObject({
      'x-user-id': '2',
      'x-organization-id': '10',
      'x-permissions': 'dataset.read',
      'x-token-type': 'user',
    });
    expect(answer.headers.authorization).toBeUndefined();
    expect(platform.policy.calls).toHaveLength(0);
    expect((await ask(`${gateway.url}/auth/verify`)).status).toBe(401);
  });

  test('an unknown path is 404 to whoever has a token, and 401 to anybody else', async () => {
    expect((await ask(`${gateway.url}/nowhere`)).status).toBe(401);
    const answer = await ask(`${gateway.url}/nowhere`, { token: await scientist() });
    expect([answer.status, answer.json]).toEqual([404, { error: 'not found', trace_id: expect.any(String) }]);
  });
});

describe('trace', () => {
  test('a UUID of the client is kept on its way there and back, anything else is replaced', async () => {
    const id = randomUUID();
    const token = await scientist();
    const kept = await ask(`${gateway.url}/api/lims/x`, { token, headers: { 'x-trace-id': id } });
    expect(kept.headers['x-trace-id']).toBe(id);
    expect((kept.json.headers as Record<string, string>)['x-trace-id']).toBe(id);
    const replaced = await ask(`${gateway.url}/api/lims/x`, {
      token,
      headers: { 'x-trace-id': 'not-a-uuid' },
    });
    expect(replaced.headers['x-trace-id']).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
  });

  test('a W3C traceparent is passed on or begun', async () => {
    const token = await scientist();
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const passed = await ask(`${gateway.url}/api/lims/x`, { token, headers: { traceparent } });
    expect((passed.json.headers as Record<string, string>).traceparent).toBe(traceparent);
    const begun = await ask(`${gateway.url}/api/lims/x`, { token, headers: { traceparent: 'garbage' } });
    expect((begun.json.headers as Record<string, string>).traceparent).toMatch(
      /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/,
    );
  });
});

describe('auth', () => {
  const refused = { error: 'invalid token', trace_id: expect.any(String) };

  test('without a bearer token', async () => {
    for (const headers of [
      {},
      { authorization: 'Basic YTpi' },
      { authorization: 'Bearer' },
      { authorization: 'Bearer ' },
    ]) {
      const answer = await ask(`${gateway.url}/api/lims/x`, { headers });
      expect([answer.status, answer.json]).toEqual([
        401,
        { error: 'missing token', trace_id: expect.any(String) },
      ]);
      expect(answer.headers['www-authenticate']).toBe('Bearer');
      expect(answer.headers['x-trace-id']).toBe(answer.json.trace_id);
    }
  });

  test('both algorithms are accepted, the scheme in any case', async () => {
    for (const alg of ['HS256', 'RS256'] as const) {
      const token = await scientist({ alg });
      for (const scheme of ['Bearer', 'bearer', 'BEARER']) {
        const answer = await ask(`${gateway.url}/api/lims/x`, {
          headers: { authorization: `${scheme} ${token}` },
        });
        expect(answer.status).toBe(200);
      }
    }
  });

  test.each([
    ['refresh token', { type: 'refresh' }],
    ['MFA challenge', { type: 'mfa_challenge' }],
    ['expired', { exp: 1 }],
    ['without exp', { exp: undefined }],
    ['exp as text', { exp: '9999999999' }],
    ['not yet valid', { nbf: 9_999_999_999 }],
    ['without sub', { sub: undefined }],
  ])('%s is refused without asking IAM', async (_name, claims) => {
    const answer = await ask(`${gateway.url}/api/lims/x`, { token: await scientist(claims) });
    expect([answer.status, answer.json]).toEqual([401, refused]);
    expect(answer.headers['www-authenticate']).toBe('Bearer error="invalid_token"');
    expect(platform.iam.service.count('/auth/validate')).toBe(0);
  });

  test('a tampered signature, an unsigned token, two headers and two tokens are refused', async () => {
    const token = await scientist();
    const [header, payload, signature = ''] = token.split('.');
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    for (const authorization of [
      `Bearer ${header}.${payload}.${signature[0] === 'A' ? 'B' : 'A'}${signature.slice(1)}`,
      `Bearer ${none}.${payload}.`,
      `Bearer ${none}.${payload}.${signature}`,
      `Bearer ${token} ${token}`,
      `Bearer ${token},${token}`,
      [`Bearer ${token}`, `Bearer ${token}`],
    ]) {
      const answer = await ask(`${gateway.url}/api/lims/x`, { headers: { authorization } });
      expect([answer.status, answer.json]).toEqual([401, refused]);
    }
  });

  test('a warm token costs IAM nothing, and many cold requests at once cost one question', async () => {
    const token = await scientist();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => ask(`${gateway.url}/api/lims/x`, { token })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    await ask(`${gateway.url}/api/lims/x`, { token });
    expect(platform.iam.service.count('/auth/validate')).toBe(1);
  });

  test.each([
    ['hangs', 'hang', 'iam_unavailable'],
    ['resets', 'reset', 'iam_unavailable'],
    ['answers 500', { status: 500, body: '{"valid":true}' }, 'iam_unavailable'],
    ['answers HTML', { status: 200, body: '<html>', contentType: 'text/html' }, 'iam_unavailable'],
    ['answers null', { status: 200, body: 'null' }, 'iam_unavailable'],
    ['answers {}', { status: 200, body: '{}' }, 'iam_unavailable'],
    ['says "true"', { status: 200, body: '{"valid":"true","user_id":1}' }, undefined],
    ['says yes without a user', { status: 200, body: '{"valid":true}' }, undefined],
    [
      'says yes with roles of another type',
      { status: 200, body: '{"valid":true,"user_id":1,"roles":"admin"}' },
      undefined,
    ],
  ] as const)('an IAM that %s refuses', async (_name, fault, reason) => {
    platform.iam.service.fault = (path) => (path === '/auth/validate' ? fault : undefined);
    const answer = await ask(`${gateway.url}/api/lims/x`, { token: await scientist() });
    expect([answer.status, answer.json]).toEqual([
      401,
      reason === undefined ? refused : { ...refused, reason },
    ]);
  });
});

describe('policy', () => {
  test('is asked what the contract says, in the old form of the path, once per decision', async () => {
    const token = await scientist();
    await ask(`${gateway.url}/api/tes/v1/tasks?view=FULL`, { token });
    await ask(`${gateway.url}/tes/v1/tasks`, { token });
    expect(platform.policy.calls).toHaveLength(1);
    expect(platform.policy.calls[0]).toMatchObject({
      headers: { 'x-internal-service': 'gateway', 'x-user-id': '1', 'x-trace-id': expect.any(String) },
      body: {
        user_id: '1',
        email: 'scientist@sandbox.local',
        roles: ['researcher'],
        permissions: ['workflow.execute', 'dataset.read', 'model.use'],
        org_id: '10',
        action: 'workflow.execute',
        resource: '/tes/v1/tasks',
        service: 'tes',
        context: { method: 'GET', path: '/tes/v1/tasks' },
      },
    });
  });

  test('a route without a permission asks by method and path', async () => {
    await ask(`${gateway.url}/api/lims/samples/123`, { token: await scientist(), method: 'DELETE' });
    expect(platform.policy.calls[0]?.body).toMatchObject({ action: 'delete.lims.samples.123' });
  });

  test('a no is 403 with the engine’s reason, and nothing reaches the service', async () => {
    const answer = await ask(`${gateway.url}/api/tes/x`, { token: await platform.iam.issue(USERS.viewer) });
    expect([answer.status, answer.json]).toEqual([
      403,
      { error: 'forbidden', reason: 'missing permission workflow.execute', trace_id: expect.any(String) },
    ]);
  });

  test.each([
    ['hangs', 'hang', 'policy_timeout'],
    ['resets', 'reset', 'policy_unavailable'],
    ['answers 500', { status: 500, body: '{"allowed":true}' }, 'policy_error'],
    ['answers 201', { status: 201, body: '{"allowed":true}' }, 'policy_error'],
    ['answers HTML', { status: 200, body: '<html>' }, 'policy_error'],
    ['answers null', { status: 200, body: 'null' }, 'policy_error'],
    ['answers {}', { status: 200, body: '{}' }, 'policy_error'],
    ['says "yes"', { status: 200, body: '{"allowed":"yes"}' }, 'policy_error'],
    ['says 1', { status: 200, body: '{"allowed":1}' }, 'policy_error'],
  ] as const)('an engine that %s refuses', async (_name, fault, reason) => {
    platform.policy.fault = () => fault;
    const answer = await ask(`${gateway.url}/api/lims/${randomUUID()}`, { token: await scientist() });
    expect([answer.status, answer.json]).toEqual([
      403,
      { error: 'forbidden', reason, trace_id: expect.any(String) },
    ]);
  });

  test('what could not be decided is not remembered', async () => {
    const token = await scientist();
    const url = `${gateway.url}/api/lims/${randomUUID()}`;
    platform.policy.fault = () => 'reset';
    expect((await ask(url, { token })).status).toBe(403);
    platform.policy.fault = () => undefined;
    expect((await ask(url, { token })).status).toBe(200);
  });

  test('a fault of the moment is tried once more', async () => {
    let calls = 0;
    platform.policy.fault = () => (calls++ === 0 ? 'reset' : undefined);
    expect((await ask(`${gateway.url}/api/lims/${randomUUID()}`, { token: await scientist() })).status).toBe(
      200,
    );
  });
});

describe('hpc', () => {
  test('safe methods reuse a decision, others ask each time, other routes never', async () => {
    const token = await platform.iam.issue(USERS.gpu);
    for (const _ of [1, 2]) await ask(`${gateway.url}/api/tes/v1/tasks`, { token });
    expect(platform.hpc.service.count('/jobs/evaluate')).toBe(1);
    for (const _ of [1, 2]) await ask(`${gateway.url}/api/tools/run`, { token, json: {} });
    expect(platform.hpc.service.count('/jobs/evaluate')).toBe(3);
    await ask(`${gateway.url}/api/rag/x`, { token });
    expect(platform.hpc.service.count('/jobs/evaluate')).toBe(3);
  });

  test('the demand comes from the submission, whose body arrives whole', async () => {
    const task = { name: 'align', resources: { cpu_cores: 4, ram_gb: 16 } };
    const answer = await ask(`${gateway.url}/api/tes/v1/tasks`, { token: await scientist(), json: task });
    expect([answer.status, answer.json]).toEqual([200, { id: expect.any(String), state: 'QUEUED', ...task }]);
    expect(platform.hpc.service.calls.map(({ path, body }) => [path, body])).toEqual([
      [
        '/jobs/evaluate',
        {
          user_id: '1',
          cpu_hours: 4,
          gpu_hours: 0,
          gpus: 0,
          memory_gb: 16,
          partition: 'cpu',
          roles: ['researcher'],
        },
      ],
      [
        '/quota/check',
        { user_id: '1', cpu_hours: 4, gpu_hours: 0, gpus: 0, partition: 'cpu', roles: ['researcher'] },
      ],
    ]);
  });

  test('roles and budget bind', async () => {
    const token = await scientist();
    const submit = (resources: object) =>
      ask(`${gateway.url}/api/tes/api/runs/submit`, { token, json: { tool_id: 'x', resources } });
    expect((await submit({ gpus: 1 })).json).toMatchObject({
      error: 'HPC quota exceeded',
      reason: 'GPU access denied',
    });
    expect((await submit({ cpu_hours: 121 })).json).toMatchObject({ reason: 'CPU hours exhausted' });
    expect((await submit({ cpu_hours: 120 })).status).toBe(200);
  });

  test('a submission that states no readable demand is refused before it reaches the service', async () => {
    const token = await scientist();
    const url = `${gateway.url}/api/tes/v1/tasks`;
    expect((await ask(url, { token, body: '{"resources":{"gpus":8},"x":NaN}' })).json).toMatchObject({
      reason: 'unreadable_demand',
    });
    expect((await ask(url, { token, body: Buffer.alloc(1_100_000, ' ') })).status).toBe(413);
    expect(platform.hpc.service.calls).toHaveLength(0);
  });

  test.each([
    ['hangs', 'hang', 'hpc_timeout'],
    ['resets', 'reset', 'hpc_unavailable'],
    ['answers 500', { status: 500, body: '{"allow":true}' }, 'hpc_error'],
    ['answers {}', { status: 200, body: '{}' }, 'hpc_error'],
    ['answers null', { status: 200, body: 'null' }, 'hpc_error'],
    ['says "allowed"', { status: 200, body: '{"allowed":true}' }, 'hpc_error'],
    ['says "yes"', { status: 200, body: '{"allow":"yes"}' }, 'hpc_error'],
  ] as const)('an engine that %s refuses', async (_name, fault, reason) => {
    platform.hpc.service.fault = () => fault;
    const answer = await ask(`${gateway.url}/api/tes/x`, { token: await scientist(), json: {} });
    expect([answer.status, answer.json]).toEqual([
      403,
      { error: 'HPC quota exceeded', reason, trace_id: expect.any(String) },
    ]);
  });
});

test('metrics tell what happened, readiness and engines too', async () => {
  await gateway.metrics(); // the lag of the event loop at one scrape is told at the next
  const metrics = await gateway.metrics();
  for (const line of [
    /^gateway_requests_total\{service="lims",method="GET",status="200"\} \d/m,
    /^http_request_duration_seconds_bucket\{.*service="lims".*le="\+Inf".*\} \d/m,
    /^gateway_refusals_total\{stage="auth",reason="missing_token"\} \d/m,
    /^gateway_refusals_total\{stage="policy",reason="policy_timeout"\} \d/m,
    /^gateway_cache_lookups_total\{cache="identity",tier="l1",result="hit"\} [1-9]/m,
    /^gateway_platform_request_duration_seconds_count\{engine="iam",result="ok"\} \d/m,
    /^gateway_audit_events_total\{result="accepted"\} \d/m,
    /^gateway_open_connections \d/m,
    /^process_resident_memory_bytes\{worker="1"\} \d/m,
    /^nodejs_eventloop_lag_p99_seconds\{worker="1"\} \d/m,
    /^nodejs_eventloop_lag_seconds\{worker="primary"\} \d/m,
  ]) {
    expect(metrics).toMatch(line);
  }
  // The primary takes no samples, and says nothing about any.
  expect(metrics).not.toMatch(/nodejs_eventloop_lag_\w+_seconds\{worker="primary"/);
  const ready = await ask(`${gateway.adminUrl}/ready`);
  expect(ready.json).toMatchObject({ ready: true, redis: 'embedded', workers: { wanted: 1, accepting: 1 } });
});
