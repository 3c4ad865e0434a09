import { hash } from 'node:crypto';
import { HolderKeys } from '../cache/keys.ts';
import type { Learnt, Question, TwoTierCache } from '../cache/two-tier-cache.ts';
import type { Route } from '../config/routes.ts';
import type { Identity } from '../platform/identity.ts';
import type { Decision, PolicyEngine, PolicyQuestion } from '../platform/policy-engine.ts';
import type { Exchange } from './exchange.ts';
import type { Stage } from './stage.ts';
import { ALLOW, refusals, type Verdict } from './verdict.ts';

/** Longer keys are replaced by their digest, so that an entry's size does not depend on the client. */
const MAX_KEY_LENGTH = 300;

/** May this caller do this? The engine decides; its certain answers are kept for `POLICY_CACHE_TTL`. */
export class Policy implements Stage {
  readonly name = 'policy';
  readonly #cache: TwoTierCache<Decision>;
  readonly #engine: PolicyEngine;

  constructor(cache: TwoTierCache<Decision>, engine: PolicyEngine) {
    this.#cache = cache;
    this.#engine = engine;
  }

  decide(exchange: Exchange): Verdict | Promise<Verdict> {
    const { identity, resource, route, method } = exchange;
    if (identity === null || resource === null) return refusals.policyDenied('policy_error', 'policy_error');
    // All that the decision depends on: who (fingerprint), what (method, resource) and which service.
    // Action and context follow from these.
    const key = `${identity.fingerprint} ${route.service} ${method} ${resource}`;
    const bounded = key.length > MAX_KEY_LENGTH ? hash('sha256', key) : key;
    // Runs before any await: the hit path must stay synchronous.
    const known = this.#cache.peek(bounded, exchange.startedAt);
    if (known === undefined)
      return this.#find(this.#question(exchange, identity, resource, bounded), bounded);
    if (exchange.startedAt >= known.refreshAt) {
      this.#cache.refresh(bounded, known, this.#question(exchange, identity, resource, bounded));
    }
    return verdictOf(known.value);
  }

  async #find(question: DecisionQuestion, key: string): Promise<Verdict> {
    return verdictOf(await this.#cache.find(key, question));
  }

  #question(exchange: Exchange, identity: Identity, resource: string, key: string): DecisionQuestion {
    const { method, route, traceId } = exchange;
    const question: PolicyQuestion = {
      facts: identity.facts,
      action: actionOf(route, method, resource),
      resource,
      service: route.service,
      method,
      traceId,
    };
    return new DecisionQuestion(key, question, this.#engine);
  }
}

/** What is asked for: the route's permission or, without one, `get.lims.samples.123` (contract §4). */
export function actionOf({ permission }: Route, method: string, resource: string): string {
  return permission ?? `${method.toLowerCase()}${resource.replaceAll('/', '.')}`;
}

function verdictOf(decision: Decision): Verdict {
  if (decision.allowed === true) return ALLOW;
  return refusals.policyDenied(decision.reason, decision.certain ? 'denied' : decision.reason);
}

/** Finds out one decision. */
class DecisionQuestion implements Question<Decision> {
  readonly holder: string;
  readonly jti = null;
  readonly digest: string;
  readonly keys: HolderKeys;
  readonly #question: PolicyQuestion;
  readonly #engine: PolicyEngine;

  constructor(key: string, question: PolicyQuestion, engine: PolicyEngine) {
    this.#question = question;
    this.#engine = engine;
    this.holder = `user:${question.facts.userId}`;
    this.digest = hash('sha256', key);
    this.keys = new HolderKeys(this.holder);
  }

  async ask(): Promise<Learnt<Decision>> {
    const value = await this.#engine.evaluate(this.#question);
    return {
      value,
      validUntil: value.certain ? Number.POSITIVE_INFINITY : 0,
      refused: !value.allowed,
    };
  }

  blacklisted(): Decision {
    return { allowed: false, reason: 'revoked', certain: true };
  }

  encode(value: Decision): string {
    return JSON.stringify(value);
  }

  decode(content: string): Decision | null {
    try {
      return JSON.parse(content) as Decision; // sealed: written by this gateway from the same type
    } catch {
      return null;
    }
  }
}
