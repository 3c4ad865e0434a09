import type { IncomingMessage } from 'node:http';
import type { UpstreamFault } from '../upstream/call.ts';
import type { Forwarder } from '../upstream/forwarder.ts';
import type { Peer } from '../upstream/peer.ts';
import { RequestHead } from '../upstream/request-head.ts';
import { parseTarget, type RequestTarget } from '../upstream/request-target.ts';
import type { RouteMatch, RouteTable } from '../upstream/route-table.ts';
import { offeredProtocol } from '../upstream/websocket/handshake.ts';
import { AnswerGate } from './answer-gate.ts';
import { type Answer, OK, VERSION, verified, writeAnswer, writeRefusal } from './answers.ts';
import type { Audit } from './audit.ts';
import { bodyLimit } from './body-limit.ts';
import type { ClientUpgrade } from './client-upgrade.ts';
import { Confirm } from './confirm.ts';
import { Exchange, type ExchangeOwner } from './exchange.ts';
import type { GatewayResponse } from './gateway-response.ts';
import type { EndReason } from './live-connections.ts';
import { faultOf } from './soundness.ts';
import type { Stage } from './stage.ts';
import { trace } from './trace.ts';
import type { UnreadRequest } from './unread-requests.ts';
import type { UpstreamHeaders } from './upstream-headers.ts';
import { ALLOW, type Refusal, refusals, type StageName, type Verdict } from './verdict.ts';

/** The stages and what comes behind them for one kind of request. */
interface Plan {
  readonly stages: readonly Stage[];
  readonly conclude: (exchange: Exchange) => void;
}

/** Told of each exchange once it is over. */
export interface ExchangeObserver {
  refused(refusal: Refusal): void;
  finished(exchange: Exchange): void;
}

/** What a request goes through. Reading the constructor is enough to know what the gateway does. */
export class Pipeline implements ExchangeOwner {
  readonly #service: Plan;
  readonly #upgrade: Plan;
  readonly #verify: Plan;
  /** IAM's public paths; null: they are somebody else's business. */
  readonly #accounts: { readonly plan: Plan; readonly routes: RouteTable } | null;
  readonly #unknown: Plan;
  readonly #health: Plan;
  readonly #version: Plan;
  readonly #keys: Plan;
  readonly #routes: RouteTable;
  readonly #audit: Audit;
  readonly #observer: ExchangeObserver;
  readonly #log: (error: unknown, stage: StageName, traceId: string) => void;
  /** One listener for all responses, which tells them apart by `this`: no closure per request. */
  readonly #onResponseClose: (this: GatewayResponse) => void;
  readonly #exchanges = new Set<Exchange>();

  constructor(parts: {
    auth: Stage;
    policy: Stage;
    hpc: Stage;
    socketLimit: Stage;
    audit: Audit;
    routes: RouteTable;
    /** Null: `AUTH_PROXY` is off. */
    accounts: { readonly limit: Stage; readonly routes: RouteTable } | null;
    forwarder: Forwarder;
    upstreamHeaders: UpstreamHeaders;
    /** The gateway's public keys, as a JSON Web Key Set. */
    jwks: string;
    observer: ExchangeObserver;
    log: (error: unknown, stage: StageName, traceId: string) => void;
  }) {
    const { auth, policy, hpc, socketLimit, audit, forwarder, upstreamHeaders } = parts;
    const confirm = new Confirm(auth);
    this.#service = {
      stages: [trace, auth, bodyLimit, policy, hpc, audit, confirm],
      conclude: (exchange) => {
        upstreamHeaders.complete(exchange);
        exchange.upstream = forwarder.forward(exchange);
      },
    };
    this.#accounts = parts.accounts && {
      routes: parts.accounts.routes,
      plan: {
        stages: [trace, parts.accounts.limit, bodyLimit, audit],
        conclude: (exchange) => {
          upstreamHeaders.completeForIam(exchange);
          exchange.upstream = forwarder.forward(exchange);
        },
      },
    };
    this.#upgrade = {
      stages: [trace, auth, bodyLimit, policy, hpc, socketLimit, audit, confirm],
      conclude: this.#service.conclude,
    };
    this.#verify = {
      stages: [trace, auth, audit],
      conclude: (exchange) => exchange.hold(200, () => writeAnswer(exchange, verified(exchange))),
    };
    this.#unknown = {
      stages: [trace, auth, audit],
      conclude: (exchange) => this.#refuse(exchange, refusals.unknownPath),
    };
    this.#health = { stages: [trace], conclude: (exchange) => this.#answerOwn(exchange, OK) };
    this.#version = { stages: [trace], conclude: (exchange) => this.#answerOwn(exchange, VERSION) };
    const keys: Answer = { body: parts.jwks, headers: [] };
    this.#keys = { stages: [trace, audit], conclude: (exchange) => this.#answerOwn(exchange, keys) };
    const pipeline = this;
    this.#onResponseClose = function onResponseClose() {
      if (this.exchange !== null) pipeline.#finish(this.exchange);
    };
    this.#routes = parts.routes;
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
  get exchanges(): ReadonlySet<Exchange> {
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
    response.exchange = exchange;
    response.on('close', this.#onResponseClose);
    peer.exchange = exchange;
    this.#exchanges.add(exchange);
    const unsound = faultOf(exchange);
    // Whoever sent it may see another end of it than the parser did: the parser stops at a request that asks
    // for another protocol, and passes over what came in the same read.
    if (unsound !== null || head.upgrade !== '') response.shouldKeepAlive = false;
    const plan = this.#planFor(exchange, unsound ?? fault);
    exchange.audited = plan !== this.#health && plan !== this.#version;
    this.#advance(exchange, plan, 0);
  }

  /** Ends an exchange: its connection or its answer is over. Called exactly once for each. */
  #finish(exchange: Exchange): void {
    this.#exchanges.delete(exchange);
    exchange.close();
    if (exchange.peer.exchange === exchange) exchange.peer.exchange = null;
    if (exchange.audited) this.#audit.record(exchange);
    this.#observer.finished(exchange);
  }

  /** Ends everything under way at once: the process cannot go on. */
  abandon(): void {
    for (const exchange of [...this.#exchanges]) this.#finish(exchange);
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

  /** Notes that the rest of a request's body will not come; whoever met it answers it. */
  brokeOff(exchange: Exchange, refusal: Refusal): void {
    exchange.refusal = refusal;
    this.#observer.refused(refusal);
  }

  #planFor(exchange: Exchange, fault: Refusal | null): Plan {
    if (fault !== null) return this.#refusing(fault);
    const target = parseTarget(exchange.request.url ?? '');
    if (target === null) return this.#refusing(targetFault(exchange.request.url ?? ''));
    exchange.target = target;
    const match = this.#routes.find(target.path);
    if (match !== null) return this.#planForRoute(exchange, target, match, this.#service);
    if (!target.encodedSlash) {
      switch (target.path as string) {
        case '/health':
          return this.#health;
        case '/version':
          return this.#version;
        case '/auth/verify':
          return this.#verify;
        case '/.well-known/jwks.json':
          return this.#keys;
      }
    }
    const account = this.#accounts?.routes.find(target.path) ?? null;
    if (this.#accounts !== null && account !== null)
      return this.#planForRoute(exchange, target, account, this.#accounts.plan);
    return target.encodedSlash ? this.#refusing(refusals.badRequest('ambiguous_path')) : this.#unknown;
  }

  #planForRoute(
    exchange: Exchange,
    target: RequestTarget,
    { route, prefixLength }: RouteMatch,
    plan: Plan,
  ): Plan {
    if (target.encodedSlash && !route.allowEncodedSlash)
      return this.#refusing(refusals.badRequest('ambiguous_path'));
    const rest = target.path.slice(prefixLength);
    exchange.routeOrNull = route;
    exchange.resource = route.legacyPrefix + rest;
    // IAM's paths are its own: their old form is where they are there.
    const path = (plan === this.#service ? rest : exchange.resource) || '/';
    exchange.upstreamPath = target.query === '' ? path : `${path}?${target.query}`;
    if (plan !== this.#service) return plan;
    if (exchange.upgrade !== null) return this.#upgrade;
    const { head, method } = exchange;
    // Of an upgrade with a body nobody can say for sure where the new protocol begins.
    if (head.upgrade !== '' && head.hasBody && offeredProtocol(head.upgrade, method, route.upgrades) !== null)
      return this.#refusing(refusals.badRequest('upgrade_with_body'));
    return this.#service;
  }

  /** A plan that ends in a refusal before any stage decides. Not on the hot path. */
  #refusing(refusal: Refusal): Plan {
    return { stages: [trace], conclude: (exchange) => this.#refuse(exchange, refusal) };
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

  #answerOwn(exchange: Exchange, answer: Answer): void {
    if (exchange.method === 'GET' || exchange.method === 'HEAD') writeAnswer(exchange, answer);
    else this.#refuse(exchange, refusals.badRequest('method_not_allowed', 405, 'method not allowed'));
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

function targetFault(target: string): Refusal {
  return refusals.badRequest(target.startsWith('/') ? 'ambiguous_path' : 'unsupported_target_form');
}
