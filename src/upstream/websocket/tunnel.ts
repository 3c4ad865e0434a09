import type { Socket } from 'node:net';
import { type CloseCode, closeFrame } from './close-frame.ts';
import { FrameTracker } from './frame-tracker.ts';
import { TunnelFlow } from './tunnel-flow.ts';

/** Why a tunnel is over: an end closed it, a connection broke, or the gateway ended it. */
export type TunnelEnd = 'closed' | 'reset' | GatewayEnd;
export type GatewayEnd = 'idle' | 'drain' | 'revoked' | 'expired';

interface Farewell {
  readonly code: CloseCode;
  readonly reason: string;
  /** Milliseconds both ends get to complete their frame and the closing handshake before they are cut. */
  readonly grace: number;
  /** Whether nothing more of the client may pass, not even its answer to the close frame. */
  readonly silencesClient: boolean;
}

const FAREWELLS: Readonly<Record<GatewayEnd, Farewell>> = {
  idle: { code: 1001, reason: 'idle for too long', grace: 3_000, silencesClient: false },
  drain: { code: 1001, reason: 'the gateway restarts', grace: 3_000, silencesClient: false },
  // Within REVOCATION_BOUND together with learning of it.
  revoked: { code: 1008, reason: 'token revoked', grace: 1_000, silencesClient: true },
  expired: { code: 1008, reason: 'token expired', grace: 1_000, silencesClient: true },
};

/**
 * Two connections that speak another protocol than HTTP to each other through the gateway. Bytes pass
 * unchanged; the only ones the gateway adds are close frames, at the end of a frame.
 */
export class Tunnel {
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #up: TunnelFlow;
  readonly #down: TunnelFlow;
  readonly #idle: NodeJS.Timeout;
  readonly #onOver: (end: TunnelEnd) => void;
  #limit: NodeJS.Timeout | null = null;
  #end: TunnelEnd | null = null;
  #farewell: Farewell | null = null;
  #closed = 0;

  /**
   * @param options.frames whether the protocol is WebSocket, whose frames are followed
   * @param options.idleTimeout milliseconds without a byte in either direction
   * @param options.onOver told once, when both connections are closed
   */
  constructor(
    client: Socket,
    upstream: Socket,
    options: { frames: boolean; idleTimeout: number; onOver: (end: TunnelEnd) => void },
  ) {
    this.#client = client;
    this.#upstream = upstream;
    this.#onOver = options.onOver;
    const frames = () => (options.frames ? new FrameTracker() : null);
    this.#up = new TunnelFlow(client, upstream, frames(), () => this.#onClientBytes());
    this.#down = new TunnelFlow(upstream, client, frames(), () => this.#idle.refresh());
    this.#idle = setTimeout(() => this.#onIdle(), options.idleTimeout);
    // One end may stop sending and still listen.
    upstream.allowHalfOpen = true;
    client.on('error', this.#onError);
    upstream.on('error', this.#onError);
    client.on('close', () => this.#onClose(upstream));
    upstream.on('close', () => this.#onClose(client));
  }

  /** Bytes of the client that were passed on. */
  get bytesIn(): number {
    return this.#up.bytes;
  }

  /** Bytes of the upstream that were passed on. */
  get bytesOut(): number {
    return this.#down.bytes;
  }

  /** @param early what the client sent before the upstream agreed */
  start(early: readonly Buffer[]): void {
    this.#up.start(early);
    this.#down.start([]);
    // Either may have gone while the answer was held back; nothing more is heard of it.
    if (this.#client.closed) this.#onClose(this.#upstream);
    if (this.#upstream.closed) this.#onClose(this.#client);
  }

  /** Closes both sides in the protocol's own words where it is WebSocket; cuts them where that takes too long. */
  end(why: GatewayEnd): void {
    if (this.#closed === 2 || this.#farewell?.silencesClient === true) return;
    const farewell = FAREWELLS[why];
    // What was begun gently may still be ended by force.
    if (this.#farewell !== null && !farewell.silencesClient) return;
    this.#farewell = farewell;
    this.#end = why;
    if (this.#limit !== null) clearTimeout(this.#limit);
    this.#limit = setTimeout(() => this.#cut(), farewell.grace);
    this.#down.stop(closeFrame(farewell.code, farewell.reason, false));
    // Otherwise the client's answer to the close frame, and what it said before, goes on to the upstream.
    if (farewell.silencesClient) this.#up.stop(closeFrame(farewell.code, farewell.reason, true));
  }

  #onClientBytes(): void {
    this.#idle.refresh();
    // Both close frames are out: the server ends the connection first (RFC 6455 §7.1.1).
    if (this.#farewell !== null && this.#up.closeSeen) this.#client.end();
  }

  #onIdle(): void {
    // Where one side is closed already, the other one does not take what it was sent.
    if (this.#closed > 0) this.#cut();
    else this.end('idle');
  }

  readonly #onError = () => {
    this.#end ??= 'reset';
  };

  #onClose(other: Socket): void {
    this.#closed++;
    if (this.#closed === 1) {
      // It still gets what is on its way; in a closing handshake it may also finish that.
      if (this.#limit === null) other.destroySoon();
      else other.end();
      return;
    }
    clearTimeout(this.#idle);
    if (this.#limit !== null) clearTimeout(this.#limit);
    this.#onOver(this.#end ?? 'closed');
  }

  #cut(): void {
    this.#client.destroy();
    this.#upstream.destroy();
  }
}
