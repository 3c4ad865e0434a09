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
const AUDIT_OFF = { AUDIT_MODE: 'off' };

/** What is measured always, in the order of a round. */
export const cases: Readonly<Record<string, GateCase>> = {
  warm: { title: 'gateway, audit async', subject: subjects.gateway, shape: shape() },
  off: { title: 'gateway, audit off', subject: subjects.gatewayAuditOff, shape: shape() },
  verify: { title: '/auth/verify, new connections', subject: subjects.gateway, shape: verify },
  bare: { title: 'bare proxy', subject: subjects.bare, shape: shape() },
  hello: { title: 'hello, new connections', subject: subjects.hello, shape: verify },
};

const cpu = (of: LoadResult, to: LoadResult) => of.cpu / to.cpu;
/** Time per request: rises with every wait that takes no CPU time. */
const time = (of: LoadResult, to: LoadResult) => to.rate / of.rate;

/** Ratios to the peers, with their recorded values in `recorded.json`. */
export const checks: readonly Check[] = [
  { id: 'warm-cpu', title: 'CPU per request, audit async ÷ bare proxy', of: 'warm', to: 'bare', ratio: cpu },
  {
    id: 'warm-time',
    title: 'time per request, audit async ÷ bare proxy',
    of: 'warm',
    to: 'bare',
    ratio: time,
  },
  { id: 'off-cpu', title: 'CPU per request, audit off ÷ bare proxy', of: 'off', to: 'bare', ratio: cpu },
  {
    id: 'verify-cpu',
    title: 'CPU per /auth/verify on a new connection ÷ hello',
    of: 'verify',
    to: 'hello',
    ratio: cpu,
  },
];

/** The same loads on the gateway as it was when the record was made, by the names of those on the present one. */
export function casesBefore(main: string): Readonly<Record<string, GateCase>> {
  const before = gateway('recorded gateway, audit async', {}, { main });
  return {
    warm: { title: before.title, subject: before, shape: shape() },
    off: {
      title: 'recorded gateway, audit off',
      subject: gateway('recorded gateway, audit off', AUDIT_OFF, { main }),
      shape: shape(),
    },
    verify: { title: 'recorded gateway, /auth/verify', subject: before, shape: verify },
  };
}

/** Ratios to the gateway as it was; unchanged code has 1. */
export const checksBefore: readonly Check[] = [
  {
    id: 'warm-cpu-before',
    title: 'CPU per request, audit async, now ÷ when recorded',
    of: 'warm',
    to: 'warm-before',
    ratio: cpu,
  },
  {
    id: 'warm-time-before',
    title: 'time per request, audit async, now ÷ when recorded',
    of: 'warm',
    to: 'warm-before',
    ratio: time,
  },
  {
    id: 'off-cpu-before',
    title: 'CPU per request, audit off, now ÷ when recorded',
    of: 'off',
    to: 'off-before',
    ratio: cpu,
  },
  {
    id: 'verify-cpu-before',
    title: 'CPU per /auth/verify on a new connection, now ÷ when recorded',
    of: 'verify',
    to: 'verify-before',
    ratio: cpu,
  },
];
