import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import type { Identity } from '../platform/identity.ts';
import type { Peer } from '../upstream/peer.ts';
import { parseTarget } from '../upstream/request-target.ts';
import type { RouteTable } from '../upstream/route-table.ts';
import { announcesBody, isWebSocket, offeredProtocol } from '../upstream/websocket/handshake.ts';
import { Tunnel, type TunnelEnd } from '../upstream/websocket/tunnel.ts';
import type { Audit } from './audit.ts';
import { ClientUpgrade } from './client-upgrade.ts';
import type { Exchange } from './exchange.ts';
import type { GatewayResponse } from './gateway-response.ts';
import type { EndReason, LiveConnection, LiveConnections } from './live-connections.ts';
import { UpgradeClosed } from './upgrade-closed.ts';

/** What the services still have to say when all clients are gone may take so long. Milliseconds. */
const LAST_WORDS = 5_000;

const DRAIN_POLL = 20;

/** An open tunnel, for whoever watches over the token it was opened with. */
class OpenUpgrade implements LiveConnection {
  readonly identity: Identity;
  readonly startedAt = Date.now();
  /** It ends with its token. */
  readonly graceful = false;
  readonly tunnel: Tunnel;
  readonly event: UpgradeClosed;
  readonly release: (() => void) | null;

  constructor(identity: Identity, tunnel: Tunnel, event: UpgradeClosed, release: (() => void) | null) {
    this.identity = identity;
    this.tunnel = tunnel;
    this.event = event;
    this.release = release;
  }

  /** Closes both sides with 1008 (policy violation). */
  end(reason: EndReason): void {
    this.tunnel.end(reason);
  }
}

/** Decides which requests may leave HTTP, and knows those that did until both sides are closed. */
export class Upgrades {
  readonly #routes: RouteTable;
  readonly #idleTimeout: number;
  readonly #live: LiveConnections;
  readonly #audit: Audit;
  readonly #onClosed: (service: string, end: TunnelEnd) => void;
  readonly #open = new Set<OpenUpgrade>();
  #draining = false;

  /** @param parts.idleTimeout milliseconds without a byte in either direction after which a tunnel is closed */
  constructor(parts: {
    routes: RouteTable;
    idleTimeout: number;
    live: LiveConnections;
    audit: Audit;
    onClosed: (service: string, end: TunnelEnd) => void;
  }) {
    this.#routes = parts.routes;
    this.#idleTimeout = parts.idleTimeout;
    this.#live = parts.live;
    this.#audit = parts.audit;
    this.#onClosed = parts.onClosed;
  }

  /** Open tunnels. */
  get size(): number {
    return this.#open.size;
  }

  /** Whether a request that asks to leave HTTP may. If not it is a request like any other (RFC 9110 §7.8). */
  mayTake(request: IncomingMessage, peer: Peer<Exchange>): boolean {
    // Behind requests that are not answered yet its connection cannot be taken; HTTP/1.0 has no upgrade.
    if (peer.exchange !== null || request.httpVersionMinor === 0) return false;
    return !announcesBody(request.headers) && this.#protocolFor(request) !== null;
  }

  /** Takes the connection of a request that may leave HTTP. No parser reads it any more. */
  take(request: IncomingMessage, response: GatewayResponse, socket: Socket, early: Buffer): ClientUpgrade {
    return new ClientUpgrade(socket, early, this.#protocolFor(request) ?? '', response, this);
  }

  /** The protocol asked for that its route allows. */
  #protocolFor(request: IncomingMessage): string | null {
    const target = parseTarget(request.url ?? '');
    const match = target === null ? null : this.#routes.find(target.path);
    const offered = request.headers.upgrade ?? '';
    return match === null ? null : offeredProtocol(offered, request.method ?? '', match.route.upgrades);
  }

  /** Begins a tunnel for an exchange that was allowed. */
  open(
    exchange: Exchange,
    protocol: string,
    client: Socket,
    upstream: Socket,
    release: (() => void) | null,
    early: readonly Buffer[],
  ): void {
    const { identity } = exchange;
    if (identity === null) throw new Error('nothing is forwarded without an identity');
    const tunnel = new Tunnel(client, upstream, {
      frames: isWebSocket(protocol),
      idleTimeout: this.#idleTimeout,
      onOver: (end) => this.#over(opened, end),
    });
    const opened = new OpenUpgrade(identity, tunnel, new UpgradeClosed(exchange), release);
    this.#open.add(opened);
    this.#live.add(opened);
    tunnel.start(early);
    if (this.#draining) tunnel.end('drain');
  }

  #over(opened: OpenUpgrade, end: TunnelEnd): void {
    const { tunnel, event, release } = opened;
    if (!this.#open.delete(opened)) return;
    this.#live.delete(opened);
    release?.();
    this.#audit.record(event.with(end, tunnel.bytesIn, tunnel.bytesOut));
    this.#onClosed(event.routeService, end);
  }

  /** Tells every peer that the gateway goes away; those that do not close then are cut. */
  drain(): void {
    this.#draining = true;
    for (const { tunnel } of this.#open) tunnel.end('drain');
  }

  /** Resolves when no tunnel is open any more, each with its event, or after a while that each has to end in. */
  async drained(): Promise<void> {
    const startedAt = performance.now();
    while (this.#open.size > 0 && performance.now() - startedAt < LAST_WORDS) await setTimeout(DRAIN_POLL);
    this.abandon();
  }

  /** Notes the end of all that is open, at once: the process cannot go on. */
  abandon(): void {
    for (const opened of [...this.#open]) this.#over(opened, 'reset');
  }
}
