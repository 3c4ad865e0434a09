/** A goal: one case's figure divided by another's, in one run. */
export interface Target {
  readonly title: string;
  readonly of: string;
  readonly to: string;
  /** `tail`: p99 of the one divided by p50 of the other. */
  readonly figure: 'rate' | 'cpu' | 'tail';
  /** The ratio is to be at least (for `rate`) or at most (for the others) so much. */
  readonly goal: number;
}

/** What the gateway promises. */
export const targets: readonly Target[] = [
  { title: 'audit async ÷ bare proxy, requests', of: 'warm', to: 'bare', figure: 'rate', goal: 0.75 },
  { title: 'audit async ÷ bare proxy, CPU', of: 'warm', to: 'bare', figure: 'cpu', goal: 1.5 },
  { title: 'audit off ÷ bare proxy, requests', of: 'warm-off', to: 'bare', figure: 'rate', goal: 0.88 },
  { title: 'audit async ÷ Fastify, requests', of: 'warm', to: 'fastify', figure: 'rate', goal: 2.2 },
  {
    title: 'audit async ÷ nginx auth_request, requests',
    of: 'warm',
    to: 'nginx-auth',
    figure: 'rate',
    goal: 0.4,
  },
  {
    title: '/auth/verify ÷ hello, new connections',
    of: 'verify-fresh',
    to: 'hello-fresh',
    figure: 'rate',
    goal: 0.85,
  },
  { title: 'p99 ÷ p50 at 256 connections', of: 'conn-256', to: 'conn-256', figure: 'tail', goal: 5 },
  { title: '2,000 ÷ 64 connections', of: 'conn-2000', to: 'conn-64', figure: 'rate', goal: 0.9 },
  { title: '10,000 ÷ 10 routes', of: 'routes-10000', to: 'routes-10', figure: 'rate', goal: 0.9 },
  { title: '100,000 ÷ 10 tokens', of: 'tokens-100000', to: 'tokens-10', figure: 'rate', goal: 0.9 },
  { title: '2 workers ÷ 1', of: 'two-workers', to: 'one-worker', figure: 'rate', goal: 1.8 },
];
