import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ChainLink } from '../../../src/audit/chain.ts';
import { eventText } from '../../../src/audit/event-text.ts';
import type { AuditSubject } from '../../../src/audit/facts.ts';
import { maskQuery } from '../../../src/audit/query-mask.ts';
import { AuditSigner } from '../../../src/audit/signature.ts';
import { factsOf, SUBJECT } from '../../setup/audit-subject.ts';

const plain: AuditSubject = {
  ...SUBJECT,
  path: '/api/tes/v1/tasks',
  query: 'view=FULL&token=secret',
  resource: '/tes/v1/tasks',
  identity: { userId: '42', organizationId: '7', clientId: null, tokenType: 'user' },
  routeService: 'tes',
  latencyMs: 1.5,
  policyMs: 2,
  upstreamMs: 0.25,
};

const link: ChainLink = { worker: 'a.1.b', seq: 7, prev: null };

/** The text that the thread makes of what the main thread packs. */
function textOf(subject: AuditSubject, place: ChainLink | null = link): string {
  return eventText(factsOf(subject), place);
}

test('an event has the members of the contract in their order', () => {
  const event = JSON.parse(textOf(plain));
  expect(Object.keys(event)).toEqual([
    'event_id',
    'timestamp',
    'service',
    'event_type',
    'user_id',
    'organization_id',
    'tenant_scope',
    'action',
    'resource',
    'decision',
    'reason',
    'trace_id',
    'context',
    'status_code',
    'latency_ms',
    'endpoint',
  ]);
  expect(event).toMatchObject({
    timestamp: '2026-01-01T00:00:00.000000+00:00',
    service: 'gateway',
    user_id: '42',
    organization_id: '7',
    tenant_scope: 'organization',
    action: 'GET /api/tes/v1/tasks',
    context: {
      client: '192.0.2.1',
      query: 'view=FULL&token=***',
      policy_ms: 2,
      upstream_ms: 0.25,
      chain: link,
    },
    endpoint: '/api/tes/v1/tasks',
  });
});

test('without an organisation the scope is unknown', () => {
  expect(JSON.parse(textOf({ ...plain, identity: null }))).toMatchObject({
    user_id: null,
    organization_id: null,
    tenant_scope: 'unknown',
  });
});

test('hostile text breaks neither the JSON nor the caps', () => {
  const hostile = fc.string({ unit: 'binary', maxLength: 600 });
  fc.assert(
    fc.property(hostile, hostile, hostile, hostile, (path, query, reason, address) => {
      const text = textOf({ ...plain, path, query, reason, resource: path, clientAddress: address });
      const event = JSON.parse(text);
      expect(text).toMatch(/^[\x20-\x7e]*$/);
      expect(event.endpoint).toBe(path.toWellFormed());
      for (const value of Object.values(event)) {
        if (typeof value === 'string') expect(value.isWellFormed()).toBe(true);
      }
      for (const name of ['action', 'resource', 'reason'])
        expect((event[name] ?? '').length).toBeLessThanOrEqual(255);
      if (path.length > 255) expect(event.context.truncated).toBe(true);
    }),
    { numRuns: 200 },
  );
});

test('values of a query stay out unless their name is on the list', () => {
  expect(maskQuery('page=2&access_token=eyJ&limit=10&eyJhbGci&state=a%20b')).toBe(
    'page=2&access_token=***&limit=10&***&state=***',
  );
});

test('the signature is the one of the contract’s golden vector', () => {
  const data =
    '{"event_id": "11111111-1111-1111-1111-111111111111", "timestamp": "2026-01-01T00:00:00+00:00", "service": "gateway", "event_type": "request", "user_id": null, "action": "", "resource": null, "decision": null, "reason": null, "trace_id": null, "context": {}}';
  expect(new AuditSigner('test-secret-vector').sign(data)).toBe(
    'v1:96b18a8dbd82707a78b14a7c446acfef50d3882c9d5160ffad6084d0771c7410',
  );
});

test('any signature agrees with an independent computation', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'binary', minLength: 1 }),
      (data, secret) => {
        const key = createHash('sha256').update(`omnibioai-audit-events:${secret}`).digest();
        const mac = createHmac('sha256', key).update('v1\n').update('gateway\n').update(data).digest('hex');
        expect(new AuditSigner(secret).sign(data)).toBe(`v1:${mac}`);
      },
    ),
  );
});
