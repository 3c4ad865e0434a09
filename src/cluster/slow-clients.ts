import type { Exchange } from '../pipeline/exchange.ts';

/** How often clients are looked at. Milliseconds. */
const SWEEP = 1_000;

/** Below so many bytes a second a body counts as standing still: slower than any line in use. */
const MIN_BODY_RATE = 128;

/** How a connection has been getting on with one exchange. */
interface Pace {
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Milliseconds the client owes of its body, and of taking its answer. */
  readonly bodyLate: number;
  readonly answerLate: number;
}

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
  /** Of the exchanges that were open at the last look. Kept here and not on their sockets, which all have one shape. */
  #paces = new Map<Exchange, Pace>();
  #timer: NodeJS.Timeout | null = null;

  /** @param timeouts milliseconds */
  constructor(owner: SlowClientsOwner, timeouts: { body: number; answer: number }) {
    this.#owner = owner;
    this.#bodyTimeout = timeouts.body;
    this.#answerTimeout = timeouts.answer;
  }

  start(): void {
    const interval = Math.min(SWEEP, this.#bodyTimeout, this.#answerTimeout);
    this.#timer = setInterval(() => this.#sweep(interval), interval).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  #sweep(elapsed: number): void {
    const before = this.#paces;
    this.#paces = new Map();
    for (const exchange of this.#owner.exchanges) {
      const pace = before.get(exchange);
      if (pace === undefined) this.#paces.set(exchange, { ...moved(exchange), bodyLate: 0, answerLate: 0 });
      else this.#paces.set(exchange, this.#look(exchange, pace, elapsed));
    }
  }

  #look(exchange: Exchange, pace: Pace, elapsed: number): Pace {
    const { request } = exchange;
    const { bytesIn, bytesOut } = moved(exchange);
    let { bodyLate } = pace;
    if (exchange.hasBody && !request.complete && request.readableFlowing === true) {
      bodyLate = Math.max(0, bodyLate + elapsed - ((bytesIn - pace.bytesIn) / MIN_BODY_RATE) * 1_000);
      if (bodyLate > this.#bodyTimeout) this.#owner.bodyTooSlow(exchange);
    }
    const stands = request.socket.writableLength > 0 && bytesOut === pace.bytesOut;
    const answerLate = stands ? pace.answerLate + elapsed : 0;
    if (answerLate > this.#answerTimeout) this.#owner.answerNotTaken(exchange);
    return { bytesIn, bytesOut, bodyLate, answerLate };
  }
}

/** What the exchange's socket has brought and what of the answer it has taken, in bytes of its whole life. */
function moved({ request: { socket } }: Exchange): Pick<Pace, 'bytesIn' | 'bytesOut'> {
  return { bytesIn: socket.bytesRead, bytesOut: socket.bytesWritten - socket.writableLength };
}
