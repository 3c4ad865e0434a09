import { type AuditSubject, type Facts, FactsBatch, unpack } from '../../src/audit/facts.ts';

/** A request like any other, as the trail sees it. */
export const SUBJECT: AuditSubject = {
  startedAt: Date.UTC(2026, 0, 1),
  traceId: '11111111-1111-1111-1111-111111111111',
  method: 'GET',
  path: '/api/lims/x',
  query: '',
  resource: null,
  clientAddress: '192.0.2.1',
  identity: null,
  callerService: null,
  routeService: 'lims',
  eventType: 'request',
  decision: 'allow',
  reason: null,
  stage: null,
  statusCode: 200,
  bytesIn: 0,
  bytesOut: 12,
  latencyMs: 1,
  authMs: -1,
  policyMs: -1,
  hpcMs: -1,
  upstreamMs: 1,
};

/** What the thread reads back of what the main thread packs. */
export function factsOf(subject: AuditSubject): Facts {
  const batch = new FactsBatch(1);
  batch.add(subject, false);
  return unpack(batch.take(), 0);
}
