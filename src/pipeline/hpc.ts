import type { LRUCache } from 'lru-cache';
import { lru } from '../cache/lru.ts';
import type { Route } from '../config/routes.ts';
import type { HpcEngine } from '../platform/hpc-engine.ts';
import type { Decision } from '../platform/policy-engine.ts';
import { NO_DEMAND, type ResourceDemand, readDemand } from '../platform/resource-demand.ts';
import { readBody } from './body.ts';
import type { Exchange } from './exchange.ts';
import type { Stage } from './stage.ts';
import { ALLOW, refusals, type Verdict } from './verdict.ts';

/** Safe methods may reuse a decision for so long: they start no job. Milliseconds. */
const REUSE = 5_000;

/** Largest body of a submission: it must be read whole before it is judged. Bytes. */
const MAX_SUBMISSION = 1_048_576;

/** May this caller use compute? Routes without compute pass. */
export class Hpc implements Stage {
  readonly name = 'hpc';
  readonly #engine: HpcEngine;
  readonly #recent: LRUCache<string, { decision: Decision; until: number }>;

  /** @param max remembered decisions */
  constructor(engine: HpcEngine, max: number) {
    this.#engine = engine;
    this.#recent = lru(max);
  }

  decide(exchange: Exchange): Verdict | Promise<Verdict> {
    const { route, method } = exchange;
    if (!route.compute) return ALLOW;
    if (method === 'GET' || method === 'HEAD' || method === 'OPTIONS') {
      const recent = this.#recent.get(exchange.identity?.fingerprint ?? '');
      if (recent !== undefined && exchange.startedAt < recent.until) return verdictOf(recent.decision);
      return this.#judge(exchange, NO_DEMAND, true);
    }
    if (method === 'POST' && exchange.hasBody && isSubmission(exchange.route, exchange.upstreamPath))
      return this.#judgeSubmission(exchange);
    return this.#judge(exchange, NO_DEMAND, false);
  }

  async #judge(exchange: Exchange, demand: ResourceDemand, reuse: boolean): Promise<Verdict> {
    const { identity, traceId, startedAt } = exchange;
    if (identity === null) return refusals.quotaExceeded('hpc_error', 'hpc_error');
    const decision = await this.#engine.evaluate(identity.facts, demand, traceId);
    if (reuse && decision.certain) {
      this.#recent.set(identity.fingerprint, { decision, until: startedAt + REUSE });
    }
    return verdictOf(decision);
  }

  async #judgeSubmission(exchange: Exchange): Promise<Verdict> {
    if (exchange.expectsContinue) exchange.response.writeContinue();
    const body = await readBody(exchange.request, MAX_SUBMISSION);
    if (body === null) return refusals.badRequest('submission_too_large', 413, 'payload too large');
    exchange.body = body;
    const demand = demandIn(body);
    // A demand that cannot be read cannot be judged, and must not reach a service that may read it.
    if (demand === null) return refusals.badRequest('unreadable_demand');
    return this.#judge(exchange, demand, false);
  }
}

/** Whether the body of a POST to this path states a resource demand. */
export function isSubmission(route: Route, upstreamPath: string): boolean {
  const mark = upstreamPath.indexOf('?');
  const path = (mark === -1 ? upstreamPath : upstreamPath.slice(0, mark)).replace(/\/$/, '');
  return route.submissions.includes(decodeURIComponent(path));
}

function demandIn(body: Buffer): ResourceDemand | null {
  try {
    return readDemand(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)));
  } catch {
    return null;
  }
}

function verdictOf(decision: Decision): Verdict {
  if (decision.allowed === true) return ALLOW;
  return refusals.quotaExceeded(decision.reason, decision.certain ? 'denied' : decision.reason);
}
