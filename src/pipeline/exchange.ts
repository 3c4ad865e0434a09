import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AuditSubject } from '../audit/trail.ts';
import type { Route } from '../config/routes.ts';
import type { Identity } from '../platform/identity.ts';
import type { UpgradeAnswer, UpstreamCall, UpstreamFault } from '../upstream/call.ts';
import type { Delivery } from '../upstream/delivery.ts';
import type { Peer } from '../upstream/peer.ts';
import type { RequestHead } from '../upstream/request-head.ts';
import type { RequestTarget } from '../upstream/request-target.ts';
import type { AnswerGate } from './answer-gate.ts';
import type { ClientUpgrade } from './client-upgrade.ts';
import type { EndReason, LiveConnection } from './live-connections.ts';
import { kPlace } from './roster.ts';
import type { Refusal, StageName } from './verdict.ts';

const NO_TARGET = { path: '', query: '', encodedSlash: false } as unknown as RequestTarget; // never judged

/** Whoever handles exchanges, told of what befalls one from outside its way. */
export interface ExchangeOwner {
  upstreamFailed(exchange: Exchange, fault: UpstreamFault, retryAfter: number): void;
  end(exchange: Exchange, reason: EndReason): void;
  /** Null: answers may begin at once. */
  readonly gate: AnswerGate | null;
}

/**
 * One request on its way through the gateway. Every field is set in the constructor, so that all exchanges
 * share one shape; stages fill in what they find out, each its own part.
 */
export class Exchange implements AuditSubject, UpstreamCall, LiveConnection {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: RequestHead;
  readonly peer: Peer<Exchange>;
  readonly method: string;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  readonly #startedTick: number;
  [kPlace] = -1;
  target: RequestTarget = NO_TARGET;

  // trace
  traceId = '';
  traceparent = '';

  // auth
  identity: Identity | null = null;
  callerService: string | null = null;

  // route
  routeOrNull: Route | null = null;
  /** Path behind the prefix; `/` at least. */
  upstreamPath = '/';
  /** Path in the old form, as policy judges it. */
  resource: string | null = null;

  /** The whole body, where a stage had to read it. */
  body: Buffer | null = null;
  /** Whether the client waits for `100 Continue` before it sends its body. */
  expectsContinue = false;

  /** Whether a stage had to ask somebody, so that time has passed since the caller was authenticated. */
  waited = false;
  /** Where the client asks to leave HTTP and the route allows it. */
  upgrade: ClientUpgrade | null = null;

  /** Headers for the page that asks, flat; null: CORS is not spoken. */
  cors: readonly string[] | null = null;

  // outcome
  /** Whether the answer is an event stream, which ends with its token. */
  eventStream = false;
  refusal: Refusal | null = null;
  upstream: Delivery | null = null;
  upstreamHeaders: string[] = [];
  gatewayLines = '';
  answerHeaders: readonly string[] = [];
  bodyBytes = 0;
  bytesOut = 0;
  authMs = -1;
  policyMs = -1;
  hpcMs = -1;
  upstreamMs = -1;
  // AUDIT_MODE=strict: the answer waits until a promise of the event is on disk
  /** Id of the audit event, once it has been promised. */
  eventId = '';
  gate: 'shut' | 'waiting' | 'open' = 'shut';
  proceed: (() => void) | null = null;
  /** Status of the answer that waits; 0 before. */
  #statusToCome = 0;
  /** Whether an audit event is written when the exchange is over. */
  audited = true;
  /** Whether the answer is complete or the connection gone. */
  closed = false;
  /** Whether the client got its whole answer; meaningful once closed. */
  #complete = false;
  readonly #owner: ExchangeOwner;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    head: RequestHead,
    peer: Peer<Exchange>,
    owner: ExchangeOwner,
  ) {
    this.request = request;
    this.response = response;
    this.head = head;
    this.peer = peer;
    this.method = request.method ?? '';
    this.startedAt = Date.now();
    this.#startedTick = performance.now();
    this.#owner = owner;
  }

  /** The route; only stages behind the routing may ask. */
  get route(): Route {
    if (this.routeOrNull === null) throw new Error('no route was found yet');
    return this.routeOrNull;
  }

  upstreamFailed(fault: UpstreamFault, retryAfter: number): void {
    this.#owner.upstreamFailed(this, fault, retryAfter);
  }

  get held(): boolean {
    return this.#owner.gate !== null;
  }

  hold(status: number, proceed: () => void): void {
    this.#statusToCome = status;
    if (this.#owner.gate === null) proceed();
    else this.#owner.gate.hold(this, proceed);
  }

  get graceful(): boolean {
    return !this.eventStream;
  }

  end(reason: EndReason): void {
    if (!this.closed) this.#owner.end(this, reason);
  }

  upgraded(answer: UpgradeAnswer): boolean {
    return this.upgrade?.accept(this, answer) === true;
  }

  /** Notes the time a stage took that could not answer at once. Milliseconds. */
  spent(stage: StageName, milliseconds: number): void {
    this.waited = true;
    if (stage === 'auth') this.authMs = milliseconds;
    else if (stage === 'policy') this.policyMs = milliseconds;
    else if (stage === 'hpc') this.hpcMs = milliseconds;
  }

  /** Marks the end; an upstream still at work for a client that is gone is told to stop. */
  close(): void {
    this.closed = true;
    this.#complete = this.response.writableFinished;
    if (!this.#complete) this.upstream?.abort();
  }

  /** Milliseconds since the request's head was read. */
  get latencyMs(): number {
    return performance.now() - this.#startedTick;
  }

  get hasBody(): boolean {
    return this.head.hasBody;
  }

  get upgradeProtocol(): string | null {
    return this.upgrade === null ? null : this.upgrade.protocol;
  }

  get chunked(): boolean {
    return this.head.hasBody && this.head.contentLength === '';
  }

  // What the audit trail reads.
  get path(): string {
    return this.target.path;
  }
  get query(): string {
    return this.target.query;
  }
  get clientAddress(): string {
    return this.peer.clientAddress(this.head);
  }
  get routeService(): string | null {
    return this.routeOrNull?.service ?? null;
  }
  get statusCode(): number {
    // nginx's number for a client that went away before there was an answer.
    if (this.response.headersSent) return this.response.statusCode;
    return this.refusal?.status ?? (this.#statusToCome || 499);
  }
  get bytesIn(): number {
    return this.bodyBytes || Number(this.head.contentLength) || 0;
  }
  get eventType(): AuditSubject['eventType'] {
    switch (this.refusal?.stage) {
      case 'auth':
        return 'auth_failed';
      case 'policy':
        return 'policy_denied';
      case 'hpc':
        return 'hpc_denied';
      default:
        return 'request';
    }
  }
  get decision(): 'allow' | 'deny' | null {
    if (this.refusal !== null) return this.refusal.stage === 'forward' ? 'allow' : 'deny';
    return this.response.headersSent || this.#statusToCome > 0 ? 'allow' : null;
  }
  get reason(): string | null {
    return this.refusal?.reason ?? (this.#complete ? null : 'incomplete');
  }
  get stage(): string | null {
    return this.refusal?.stage ?? null;
  }
}
