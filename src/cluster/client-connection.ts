import type { IncomingMessage } from 'node:http';
import type { BlockList, Socket } from 'node:net';
import type { Exchange } from '../pipeline/exchange.ts';
import type { GatewayResponse } from '../pipeline/gateway-response.ts';
import type { Refusal } from '../pipeline/verdict.ts';
import { Peer } from '../upstream/peer.ts';

/** While so many requests wait, no more are read. What one read brought is taken nevertheless. */
const ENOUGH_WAITING = 32;

/** A client that has brought more at once is cut: what is parsed costs a hundred times what it sent. */
const MAX_WAITING = 1_000;

/** A request as the parser gave it. */
export interface ReceivedRequest {
  readonly request: IncomingMessage;
  readonly response: GatewayResponse;
  readonly expectsContinue: boolean;
  /** What is known to be wrong with it. */
  readonly fault: Refusal | null;
}

/**
 * What the gateway keeps of one client connection. Requests on it are taken one after the other: answers
 * leave in order anyway, and what one request changes is there for the next (RFC 9112 §9.3.2).
 */
export class ClientConnection {
  readonly socket: Socket;
  readonly peer: Peer<Exchange>;
  /** Why nothing more can be read; the client is told once all that came before is answered. */
  fault: Refusal | null = null;
  readonly #waiting: ReceivedRequest[] = [];

  constructor(socket: Socket, proxies: BlockList) {
    this.socket = socket;
    this.peer = new Peer(socket, proxies);
  }

  /** Whether something is to be done when the present answer is out. */
  get continues(): boolean {
    return this.#waiting.length > 0 || this.fault !== null;
  }

  /** Keeps a pipelined request until those before it are answered; false where too many wait. */
  wait(received: ReceivedRequest): boolean {
    if (this.#waiting.length >= MAX_WAITING) return false;
    this.#waiting.push(received);
    // Not before: a paused connection does not show that the client has gone.
    if (this.#waiting.length >= ENOUGH_WAITING) this.socket.pause();
    return true;
  }

  /** The request whose turn has come; null where none waits or the connection is ending. */
  next(): ReceivedRequest | null {
    const next = this.socket.writable ? this.#waiting.shift() : undefined;
    // The last one read may be the one in which the parser failed.
    if (next === undefined || (this.fault !== null && !next.request.complete)) return null;
    if (this.#waiting.length === ENOUGH_WAITING - 1) this.socket.resume();
    return next;
  }
}
