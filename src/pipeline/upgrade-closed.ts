import type { AuditSubject } from '../audit/trail.ts';
import type { TunnelEnd } from '../upstream/websocket/tunnel.ts';
import type { Exchange } from './exchange.ts';

/**
 * The second audit event of an upgrade: how it ended, how long it lasted and what passed. The first one, the
 * exchange's own, says that it was opened. Holds what it needs, so that an open tunnel keeps no request alive.
 */
export class UpgradeClosed implements AuditSubject {
  /** Set once it has been promised (`AUDIT_MODE=strict`). */
  eventId = '';
  /** When it was over: the event's time. */
  startedAt = 0;
  readonly traceId: string;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly resource: string | null;
  readonly clientAddress: string;
  readonly identity: AuditSubject['identity'];
  readonly callerService: string | null;
  readonly routeService: string;
  readonly eventType = 'request';
  readonly decision = 'allow';
  /** `upgrade_` and how it ended. */
  reason = '';
  readonly stage = null;
  readonly statusCode = 101;
  bytesIn = 0;
  bytesOut = 0;
  /** How long it was open. */
  latencyMs = 0;
  readonly authMs = -1;
  readonly policyMs = -1;
  readonly hpcMs = -1;
  readonly upstreamMs = -1;
  readonly #openedTick = performance.now();

  constructor(exchange: Exchange) {
    this.traceId = exchange.traceId;
    this.method = exchange.method;
    this.path = exchange.path;
    this.query = exchange.query;
    this.resource = exchange.resource;
    this.clientAddress = exchange.clientAddress;
    this.identity = exchange.identity;
    this.callerService = exchange.callerService;
    this.routeService = exchange.route.service;
  }

  /** Completes it. */
  with(end: TunnelEnd | 'crash', bytesIn: number, bytesOut: number): this {
    this.startedAt = Date.now();
    this.latencyMs = performance.now() - this.#openedTick;
    this.reason = `upgrade_${end}`;
    this.bytesIn = bytesIn;
    this.bytesOut = bytesOut;
    return this;
  }
}
