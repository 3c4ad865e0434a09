import type { Socket } from 'node:net';
import type { Exchange } from '../pipeline/exchange.ts';

/** How often clients are looked at. Milliseconds. */
const SWEEP = 1_000;

/** Below so many bytes a second a body counts as standing still: slower than any line in use. */
const MIN_BODY_RATE = 128;

/** How a connection has been getting on with one exchange. */
interface Pace {
  readonly exchange: Exchange;
  bytesIn: number;
  bytesOut: number;
  /** Milliseconds the client owes of its body, and of taking its answer. */
  bodyLate: number;
  answerLate: number;
}

const kPace = Symbol('pace');
type PacedSocket = Socket & { [kPace]?: Pace };

/** Whoever ends what takes too long. */
export interface SlowClientsOwner {
  readonly exchanges: Iterable<Exchange>;
  bodyTooSlow(exchange: Exchange): void;
  answerNotTaken(exchange: Exchange): void;
}

/**
 * Finds clients that send their body or take their answer too slowly, by looking at what their sockets have
 * moved since the last time: requests pay nothing for it. Only what the client owes counts; a body that the
 * gateway or the service does not read yet is not late.
 */
export class SlowClients {
  readonly #owner: SlowClientsOwner;
  readonly #bodyTimeout: number;
  readonly #answerTimeout: number;
  #timer: NodeJS.Timeout | null = null;

  /** @param timeouts milliseconds */
  constructor(owner: SlowClientsOwner, timeouts: { body: number; answer: number }) {
    this.#owner = owner;
    this.#bodyTimeout = timeouts.body;
    this.#answerTimeout = timeouts.answer;
  }

  start(): void {
    const interval = Math.min(SWEEP, this.#bodyTimeout, this.#answerTimeout);
    this.#timer = setInterval(() => {
      for (const exchange of this.#owner.exchanges) this.#look(exchange, interval);
    }, interval).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  #look(exchange: Exchange, elapsed: number): void {
    const { request } = exchange;
    const socket: PacedSocket = request.socket;
    const taken = socket.bytesWritten - socket.writableLength;
    const pace = socket[kPace];
    if (pace?.exchange !== exchange) {
      socket[kPace] = { exchange, bytesIn: socket.bytesRead, bytesOut: taken, bodyLate: 0, answerLate: 0 };
      return;
    }
    if (exchange.hasBody && !request.complete && request.readableFlowing === true) {
      const brought = socket.bytesRead - pace.bytesIn;
      pace.bodyLate = Math.max(0, pace.bodyLate + elapsed - (brought / MIN_BODY_RATE) * 1_000);
      if (pace.bodyLate > this.#bodyTimeout) this.#owner.bodyTooSlow(exchange);
    }
    pace.answerLate = socket.writableLength > 0 && taken === pace.bytesOut ? pace.answerLate + elapsed : 0;
    if (pace.answerLate > this.#answerTimeout) this.#owner.answerNotTaken(exchange);
    pace.bytesIn = socket.bytesRead;
    pace.bytesOut = taken;
  }
}
