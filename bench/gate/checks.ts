import type { LoadResult } from '../load/spec.ts';
import { type Case, shape } from '../scenarios/scenario.ts';

const verify = { ...shape({ paths: ['/auth/verify'] }), kind: 'fresh' as const };

/** What the gate measures. The last two are the references. */
export const cases = {
  warm: { id: 'warm', title: 'gateway, audit async', subject: 'gateway', shape: shape() },
  off: { id: 'off', title: 'gateway, audit off', subject: 'gatewayAuditOff', shape: shape() },
  verify: { id: 'verify', title: '/auth/verify, new connections', subject: 'gateway', shape: verify },
  bare: { id: 'bare', title: 'bare proxy', subject: 'bare', shape: shape() },
  hello: { id: 'hello', title: 'hello, new connections', subject: 'hello', shape: verify },
} satisfies Record<string, Case>;

export type CaseName = keyof typeof cases;

/** A ratio with its recorded value in `recorded.json`. Larger is worse in all of them. */
export interface Check {
  readonly id: string;
  readonly title: string;
  readonly of: CaseName;
  readonly to: CaseName;
  readonly ratio: (of: LoadResult, to: LoadResult) => number;
}

const cpu = (of: LoadResult, to: LoadResult) => of.cpu / to.cpu;
/** Time per request: rises with every wait that takes no CPU time. */
const time = (of: LoadResult, to: LoadResult) => to.rate / of.rate;

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
