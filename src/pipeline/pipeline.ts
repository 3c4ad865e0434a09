import type { IncomingMessage } from 'node:http';
import type { UpstreamFault } from '../upstream/call.ts';
import type { Peer } from '../upstream/peer.ts';
import { RequestHead } from '../upstream/request-head.ts';
import { AnswerGate } from './answer-gate.ts';
import { writeRefusal } from './answers.ts';
import type { Audit } from './audit.ts';
import type { ClientUpgrade } from './client-upgrade.ts';
import type { Cors } from './cors.ts';
import { Exchange, type ExchangeOwner } from './exchange.ts';
import type { GatewayResponse } from './gateway-response.ts';
import type { EndReason } from './live-connections.ts';
import { type Plan, type PlanParts, Plans } from './plans.ts';
import { Roster } from './roster.ts';
import { faultOf } from './soundness.ts';
import type { Stage } from './stage.ts';
import type { UnreadRequest } from './unread-requests.ts';
import { ALLOW, type Refusal, refusals, type StageName, type Verdict } from './verdict.ts';

/** Told of each exchange once it is over. */
export interface ExchangeObserver {
  refused(refusal: Refusal): void;
  finished(exchange: Exchange): void;
}

export interface PipelineParts extends PlanParts {
  readonly audit: Audit;
  readonly observer: ExchangeObserver;
  readonly log: (error: unknown, stage: StageName, traceId: string) => void;
}

/** Takes requests through the stages of their plans and sees to it that each ends once. */
export class Pipeline implements ExchangeOwner {
  readonly #plans: Plans;
  readonly #cors: Cors | null;
  readonly #audit: Audit;
  readonly #observer: ExchangeObserver;
  readonly #log: (error: unknown, stage: StageName, traceId: string) => void;
  /** One listener for all responses, which tells them apart by `this`: no closure per request. */
  readonly #onResponseClose: (this: GatewayResponse) => void;
  readonly #exchanges = new Roster<Exchange>();

  constructor(parts: PipelineParts) {
    const { audit } = parts;
    this.#plans = new Plans(parts, (exchange, refusal) => this.#refuse(exchange, refusal));
    const pipeline = this;
    this.#onResponseClose = function onResponseClose() {
      if (this.exchange !== null) pipeline.#finish(this.exchange);
    };
    this.#cors = parts.cors;
    this.#audit = audit;
    this.gate =
      audit.strict === null
        ? null
        : new AnswerGate(audit.strict, (exchange, refusal) => this.#refuse(exchange, refusal));
    this.#observer = parts.observer;
    this.#log = parts.log;
  }

  /** Holds answers back until their record is on disk; null: they do not wait. */
  readonly gate: AnswerGate | null;

  /** Requests whose answer is not complete yet. */
  get exchanges(): Roster<Exchange> {
    return this.#exchanges;
  }

  upstreamFailed(exchange: Exchange, fault: UpstreamFault, retryAfter: number): void {
    this.#refuse(exchange, refusalOf(fault, retryAfter));
  }

  /** Cuts what is under way for a caller who may not go on. */
  end(exchange: Exchange, reason: EndReason): void {
    exchange.upstream?.abort();
    this.#refuse(exchange, refusals.ended(reason));
  }

  /** Takes one request through its plan. Never throws. */
  handle(
    request: IncomingMessage,
    response: GatewayResponse,
    peer: Peer<Exchange>,
    fault: Refusal | null = null,
    expectsContinue = false,
    upgrade: ClientUpgrade | null = null,
  ): void {
    const head = new RequestHead(request.rawHeaders);
    const exchange = new Exchange(request, response, head, peer, this);
    exchange.expectsContinue = expectsContinue;
    exchange.upgrade = upgrade;
    if (this.#cors !== null) exchange.cors = this.#cors.headersFor(head);
    response.exchange = exchange;
    response.on('close', this.#onResponseClose);
    peer.exchange = exchange;
    this.#exchanges.add(exchange);
    const unsound = faultOf(exchange);
    // Whoever sent it may see another end of it than the parser did: the parser stops at a request that asks
    // for another protocol, and passes over what came in the same read.
    if (unsound !== null || head.asksUpgrade) response.shouldKeepAlive = false;
    const plan = this.#plans.choose(exchange, unsound ?? fault);
    exchange.audited = plan.audited;
    this.#advance(exchange, plan, 0);
  }

  /** Ends an exchange: its connection or its answer is over. Only the first call counts. */
  #finish(exchange: Exchange): void {
    if (exchange.closed) return;
    this.#exchanges.delete(exchange);
    exchange.close();
    if (exchange.peer.exchange === exchange) exchange.peer.exchange = null;
    if (exchange.audited) this.#audit.record(exchange);
    this.#observer.finished(exchange);
  }

  /** Ends everything under way at once: the process cannot go on. */
  abandon(): void {
    for (const exchange of this.#exchanges) this.#finish(exchange);
  }

  /**
   * Notes a request whose head could not be read.
   * @param answer answers it, as soon as that may be
   */
  unread(refusal: Refusal, subject: UnreadRequest, answer: (refusal: Refusal) => void): void {
    this.#observer.refused(refusal);
    const { strict } = this.#audit;
    if (strict === null) {
      answer(refusal);
      this.#audit.record(subject);
      return;
    }
    subject.eventId = strict.promise(subject, (kept) => {
      answer(kept ? refusal : refusals.auditUnavailable);
      this.#audit.record(kept ? subject : subject.refusedWith(refusals.auditUnavailable));
    });
  }

  /** Ends an exchange whose request broke off within its body; whoever met it answers it. */
  brokeOff(exchange: Exchange, refusal: Refusal): void {
    exchange.refusal = refusal;
    this.#observer.refused(refusal);
    this.#finish(exchange);
  }

  #advance(exchange: Exchange, plan: Plan, from: number): void {
    const { stages } = plan;
    for (let i = from; i < stages.length; i++) {
      const stage = stages[i] as Stage; // i is within the list
      let verdict: Verdict | Promise<Verdict>;
      try {
        verdict = stage.decide(exchange);
      } catch (error) {
        verdict = this.#failed(exchange, stage, error);
      }
      if (verdict === ALLOW) continue;
      if (verdict instanceof Promise) {
        void this.#await(exchange, plan, i, verdict);
        return;
      }
      this.#refuse(exchange, verdict);
      return;
    }
    try {
      plan.conclude(exchange);
    } catch (error) {
      this.#log(error, 'forward', exchange.traceId);
      this.#refuse(exchange, refusals.internal('forward'));
    }
  }

  async #await(exchange: Exchange, plan: Plan, index: number, pending: Promise<Verdict>): Promise<void> {
    const stage = plan.stages[index] as Stage; // the caller's index
    const startedAt = performance.now();
    let verdict: Verdict;
    try {
      verdict = await pending;
    } catch (error) {
      verdict = this.#failed(exchange, stage, error);
    }
    exchange.spent(stage.name, performance.now() - startedAt);
    if (exchange.closed) return; // the client went away meanwhile
    if (verdict === ALLOW) this.#advance(exchange, plan, index + 1);
    else this.#refuse(exchange, verdict);
  }

  /** A stage that throws has not said yes; only audit fails open (design rule 1). */
  #failed(exchange: Exchange, stage: Stage, error: unknown): Verdict {
    if (exchange.closed) return refusals.internal(stage.name);
    this.#log(error, stage.name, exchange.traceId);
    switch (stage.name) {
      case 'auth':
        return refusals.iamUnavailable;
      case 'policy':
        return refusals.policyDenied('policy_error', 'policy_error');
      case 'hpc':
        return refusals.quotaExceeded('hpc_error', 'hpc_error');
      case 'audit':
        return ALLOW;
      default:
        return refusals.internal(stage.name);
    }
  }

  #refuse(exchange: Exchange, refusal: Refusal): void {
    exchange.refusal = refusal;
    this.#observer.refused(refusal);
    // Of a request that is refused for want of a record, none can be waited for.
    if (this.gate === null || refusal.stage === 'audit') writeRefusal(exchange, refusal);
    else this.gate.hold(exchange, () => writeRefusal(exchange, refusal));
  }
}

function refusalOf(fault: UpstreamFault, retryAfter: number): Refusal {
  switch (fault) {
    case 'timeout':
      return refusals.gatewayTimeout;
    case 'overloaded':
    case 'circuit_open':
      return refusals.unavailable(fault, retryAfter);
    case 'too_large':
      return refusals.bodyTooLarge;
    default:
      return refusals.badGateway(fault);
  }
}
