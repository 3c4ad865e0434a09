import { z } from 'zod';
import type { EngineClient } from './engine-client.ts';
import type { IdentityFacts } from './identity.ts';

const answerShape = z.object({ allowed: z.boolean(), reason: z.string().nullish() });

/** What the policy engine is asked (contract §4). */
export interface PolicyQuestion {
  readonly facts: IdentityFacts;
  readonly action: string;
  /** Path in the old form, without query. */
  readonly resource: string;
  readonly service: string;
  readonly method: string;
  readonly traceId: string;
}

/** The engine's decision. `certain` is false where the engine could not be asked: not to be cached. */
export interface Decision {
  readonly allowed: boolean;
  readonly reason: string;
  readonly certain: boolean;
}

/** Headers by which decision services know the gateway and the trace. */
export function engineHeaders(traceId: string, userId: string): Record<string, string> {
  return { 'x-internal-service': 'gateway', 'x-trace-id': traceId, 'x-user-id': encodeURIComponent(userId) };
}

/** Asks the policy engine (`POST /policy/evaluate`). Only a boolean `true` is a yes. */
export class PolicyEngine {
  readonly #client: EngineClient;

  constructor(client: EngineClient) {
    this.#client = client;
  }

  async evaluate({ facts, action, resource, service, method, traceId }: PolicyQuestion): Promise<Decision> {
    const answer = await this.#client.post(
      '/policy/evaluate',
      {
        user_id: facts.userId,
        email: facts.email,
        roles: facts.roles,
        permissions: facts.permissions,
        org_id: facts.organizationId,
        action,
        resource,
        service,
        context: { method, path: resource },
      },
      engineHeaders(traceId, facts.userId),
    );
    if ('fault' in answer) return { allowed: false, reason: `policy_${answer.fault}`, certain: false };
    const parsed = answerShape.safeParse(answer.body);
    if (!parsed.success) return { allowed: false, reason: 'policy_error', certain: false };
    const { allowed, reason } = parsed.data;
    return { allowed, reason: boundedReason(reason, allowed ? 'allowed' : 'denied'), certain: true };
  }
}

/** An engine's reason as it may be shown: printable, of bounded length. */
export function boundedReason(reason: string | null | undefined, fallback: string): string {
  const text = (reason ?? '')
    .toWellFormed()
    .replace(/\p{Cc}/gu, ' ')
    .trim();
  return text === '' ? fallback : text.slice(0, 255);
}
