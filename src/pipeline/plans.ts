import type { Forwarder } from '../upstream/forwarder.ts';
import { parseTarget, type RequestTarget } from '../upstream/request-target.ts';
import {
  type RouteMatch,
  type RouteTable,
  resourceOf,
  upstreamPathOf,
  withQuery,
} from '../upstream/route-table.ts';
import { offeredProtocol } from '../upstream/websocket/handshake.ts';
import { type Answer, OK, VERSION, verified, writeAnswer, writePreflight } from './answers.ts';
import { bodyLimit } from './body-limit.ts';
import { Confirm } from './confirm.ts';
import type { Cors } from './cors.ts';
import type { Exchange } from './exchange.ts';
import type { Stage } from './stage.ts';
import { trace } from './trace.ts';
import type { UpstreamHeaders } from './upstream-headers.ts';
import { type Refusal, refusals } from './verdict.ts';

/** The stages and what comes behind them for one kind of request. */
export interface Plan {
  readonly stages: readonly Stage[];
  readonly conclude: (exchange: Exchange) => void;
  /** Whether an audit event is written when the exchange is over. */
  readonly audited: boolean;
}

export interface PlanParts {
  readonly auth: Stage;
  readonly policy: Stage;
  readonly hpc: Stage;
  readonly socketLimit: Stage;
  readonly audit: Stage;
  readonly routes: RouteTable;
  /** IAM's public paths; null: `AUTH_PROXY` is off, and they are somebody else's business. */
  readonly accounts: { readonly limit: Stage; readonly routes: RouteTable } | null;
  readonly forwarder: Forwarder;
  readonly upstreamHeaders: UpstreamHeaders;
  /** The gateway's public keys, as a JSON Web Key Set. */
  readonly jwks: string;
  /** Null: CORS is not spoken, and a preflight is a request like any other. */
  readonly cors: Cors | null;
}

/** What each kind of request goes through. Reading the constructor is enough to know what the gateway does. */
export class Plans {
  readonly #service: Plan;
  readonly #upgrade: Plan;
  readonly #verify: Plan;
  readonly #accounts: { readonly plan: Plan; readonly routes: RouteTable } | null;
  readonly #unknown: Plan;
  readonly #health: Plan;
  readonly #version: Plan;
  readonly #keys: Plan;
  readonly #preflight: Plan;
  readonly #routes: RouteTable;
  readonly #cors: Cors | null;
  readonly #refuse: (exchange: Exchange, refusal: Refusal) => void;

  constructor(parts: PlanParts, refuse: (exchange: Exchange, refusal: Refusal) => void) {
    const { auth, policy, hpc, socketLimit, audit, forwarder, upstreamHeaders, cors } = parts;
    this.#routes = parts.routes;
    this.#cors = cors;
    this.#refuse = refuse;
    const confirm = new Confirm(auth);
    const plan = (stages: readonly Stage[], conclude: Plan['conclude']): Plan => ({
      stages,
      conclude,
      audited: stages.includes(audit),
    });
    const forward = (exchange: Exchange) => {
      upstreamHeaders.complete(exchange);
      exchange.upstream = forwarder.forward(exchange);
    };
    this.#service = plan([trace, auth, bodyLimit, policy, hpc, audit, confirm], forward);
    this.#upgrade = plan([trace, auth, bodyLimit, policy, hpc, socketLimit, audit, confirm], forward);
    this.#accounts = parts.accounts && {
      routes: parts.accounts.routes,
      plan: plan([trace, parts.accounts.limit, bodyLimit, audit], (exchange) => {
        upstreamHeaders.completeForIam(exchange);
        exchange.upstream = forwarder.forward(exchange);
      }),
    };
    this.#verify = plan([trace, auth, audit], (exchange) =>
      exchange.hold(200, () => writeAnswer(exchange, verified(exchange))),
    );
    this.#unknown = plan([trace, auth, audit], (exchange) => refuse(exchange, refusals.unknownPath));
    const own = (answer: Answer) => (exchange: Exchange) => {
      if (exchange.method === 'GET' || exchange.method === 'HEAD') writeAnswer(exchange, answer);
      else refuse(exchange, refusals.badRequest('method_not_allowed', 405, 'method not allowed'));
    };
    this.#health = plan([trace], own(OK));
    this.#version = plan([trace], own(VERSION));
    this.#keys = plan([trace, audit], own({ body: parts.jwks, headers: [] }));
    this.#preflight = plan([trace, audit], (exchange) =>
      exchange.hold(204, () => writePreflight(exchange, cors?.preflightHeaders(exchange) ?? [])),
    );
  }

  /**
   * Finds the plan for a request and notes its target and route.
   * @param fault why it must be refused whatever it asks for
   */
  choose(exchange: Exchange, fault: Refusal | null): Plan {
    if (fault !== null) return this.#refusing(fault);
    const target = parseTarget(exchange.request.url ?? '');
    if (target === null) return this.#refusing(targetFault(exchange.request.url ?? ''));
    exchange.target = target;
    if (this.#cors?.isPreflight(exchange) === true) return this.#preflight;
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

  #planForRoute(exchange: Exchange, target: RequestTarget, match: RouteMatch, plan: Plan): Plan {
    const { route } = match;
    if (target.encodedSlash && !route.allowEncodedSlash)
      return this.#refusing(refusals.badRequest('ambiguous_path'));
    exchange.routeOrNull = route;
    exchange.resource = resourceOf(match, target.path);
    // IAM's paths are its own: their old form is where they are there.
    exchange.upstreamPath =
      plan === this.#service ? upstreamPathOf(match, target) : withQuery(exchange.resource, target.query);
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
    return { stages: [trace], conclude: (exchange) => this.#refuse(exchange, refusal), audited: true };
  }
}

function targetFault(target: string): Refusal {
  return refusals.badRequest(target.startsWith('/') ? 'ambiguous_path' : 'unsupported_target_form');
}
