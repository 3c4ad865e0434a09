/** How often the event loop is looked at. Milliseconds. */
const TICK = 100;

/** Late ticks in a row that make an overload; a single one is a garbage collection or a start of something. */
const LATE_TICKS = 2;

/** The share of requests refused rises by so much with each late tick, and falls more slowly. */
const RISE = 0.2;
const FALL = 0.05;

/** Some are always let through: without them nobody would know that it is over. */
const MOST = 0.95;

/**
 * Refuses a share of the requests while the event loop lags, before their latency explodes. The share rises
 * while the lag is above the limit, falls while it is below half of it, and stays in between: switching all
 * requests on and off would swing from overload to idleness.
 */
export class LoadShedding {
  readonly #maxLag: number;
  #timer: NodeJS.Timeout | null = null;
  #expected = 0;
  #lateTicks = 0;
  #share = 0;
  /** What the requests so far add up to; one is refused for each whole. */
  #owed = 0;

  /** @param maxLag milliseconds */
  constructor(maxLag: number) {
    this.#maxLag = maxLag;
  }

  /** Share of requests that are refused at present, from 0 to 1. */
  get share(): number {
    return this.#share;
  }

  start(): void {
    this.#expected = performance.now() + TICK;
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.observe(now - this.#expected);
      this.#expected = now + TICK;
    }, TICK).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** @param lag milliseconds by which the event loop was late */
  observe(lag: number): void {
    if (lag > this.#maxLag) {
      if (++this.#lateTicks >= LATE_TICKS) this.#share = Math.min(MOST, this.#share + RISE);
      return;
    }
    this.#lateTicks = 0;
    if (lag < this.#maxLag / 2) this.#share = Math.max(0, this.#share - FALL);
  }

  /** Whether the next request is one of those to be refused. */
  refuses(): boolean {
    if (this.#share === 0) return false;
    this.#owed += this.#share;
    if (this.#owed < 1) return false;
    this.#owed -= 1;
    return true;
  }
}
