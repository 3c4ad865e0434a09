import type { Delivery } from './delivery.ts';

/** How often deliveries are looked at. Milliseconds. */
const INTERVAL = 250;

/** Whatever may have a delivery under way. */
export interface Sender {
  readonly upstream: Delivery | null;
}

/** Ends deliveries whose service keeps the caller waiting for too long: one timer for all of them. */
export class DeliveryWatch {
  readonly #timer: NodeJS.Timeout;

  /** @param senders all there are, whenever they are asked for */
  constructor(senders: Iterable<Sender>) {
    const look = () => {
      const now = performance.now();
      for (const { upstream } of senders) upstream?.look(now);
    };
    // Timers run before input: after a standstill, what has come meanwhile is read first.
    this.#timer = setInterval(() => setImmediate(look), INTERVAL).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
