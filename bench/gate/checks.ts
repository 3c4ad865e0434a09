import { gateway, type Subject, subjects } from '../harness/subjects.ts';
import type { LoadResult } from '../load/spec.ts';
import { type Shape, shape } from '../scenarios/scenario.ts';

/** One server under one load. */
export interface GateCase {
  readonly title: string;
  readonly subject: Subject;
  readonly shape: Shape;
}

/** A ratio of two cases within a round. Larger is worse in all of them. */
export interface Check {
  readonly id: string;
  readonly title: string;
  readonly of: string;
  readonly to: string;
  readonly ratio: (of: LoadResult, to: LoadResult) => number;
}

const verify: Shape = { ...shape({ paths: ['/auth/verify'] }), kind: 'fresh' };

/** What is measured always, in the order of a round. */
export const cases = {
  warm: { title: 'gateway, audit async', subject: subjects.gateway, shape: shape() },
  off: { title: 'gateway, audit off', subject: subjects.gatewayAuditOff, shape: shape() },
  verify: { title: '/auth/verify, new connections', subject: subjects.gateway, shape: verify },
  bare: { title: 'bare proxy', subject: subjects.bare, shape: shape() },
  hello: { title: 'hello, new connections', subject: subjects.hello, shape: verify },
} satisfies Record<string, GateCase>;

const cpu = (of: LoadResult, to: LoadResult) => of.cpu / to.cpu;
/** Time per request: rises with every wait that takes no CPU time. */
const time = (of: LoadResult, to: LoadResult) => to.rate / of.rate;

/** What of each load is compared, and with which peer. */
const compared = [
  { id: 'warm-cpu', title: 'CPU per request, audit async', of: 'warm', peer: 'bare', ratio: cpu },
  { id: 'warm-time', title: 'time per request, audit async', of: 'warm', peer: 'bare', ratio: time },
  { id: 'off-cpu', title: 'CPU per request, audit off', of: 'off', peer: 'bare', ratio: cpu },
  {
    id: 'verify-cpu',
    title: 'CPU per /auth/verify on a new connection',
    of: 'verify',
    peer: 'hello',
    ratio: cpu,
  },
] as const;

/** Ratios to the peers, with their recorded values in `recorded.json`. */
export const checks: readonly Check[] = compared.map(({ peer, ...one }) => ({
  ...one,
  title: `${one.title} ÷ ${peer === 'bare' ? 'bare proxy' : peer}`,
  to: peer,
}));

/** Ratios to the gateway as it was; unchanged code has 1. */
export const checksBefore: readonly Check[] = compared.map(({ id, title, of, ratio }) => ({
  id: `${id}-before`,
  title: `${title}, now ÷ when recorded`,
  of,
  to: `${of}-before`,
  ratio,
}));

/** The same loads on the gateway as it was when the record was made, by the names of those on the present one. */
export function casesBefore(main: string): Readonly<Record<string, GateCase>> {
  const before = gateway('recorded gateway', {}, { main });
  const off = gateway('recorded gateway, audit off', { AUDIT_MODE: 'off' }, { main });
  return {
    warm: { ...cases.warm, title: before.title, subject: before },
    off: { ...cases.off, title: off.title, subject: off },
    verify: { ...cases.verify, title: `${before.title}, /auth/verify`, subject: before },
  };
}
