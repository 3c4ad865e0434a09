/** Requests that earn a service one retry: retries are a fifth of its requests. */
const PRICE = 5;

/** What a service without much traffic may retry, and how fast that comes back: ten a second. */
const FLOOR = 50 * PRICE;
const REFILL_PER_MS = (10 * PRICE) / 1_000;

/** What busy times save up at most. */
const SAVINGS = 2_000 * PRICE;

/** Keeps second tries from multiplying the load of a service in trouble. Counts in requests. */
export class RetryBudget {
  #balance = FLOOR;
  #refilledAt: number;

  /** @param now milliseconds, as all times here, on a clock that never goes back */
  constructor(now: number) {
    this.#refilledAt = now;
  }

  /** A request came. */
  deposit(): void {
    if (this.#balance < SAVINGS) this.#balance++;
  }

  /** Takes one retry, if there is one. */
  withdraw(now: number): boolean {
    if (this.#balance < FLOOR) {
      this.#balance = Math.min(FLOOR, this.#balance + (now - this.#refilledAt) * REFILL_PER_MS);
    }
    this.#refilledAt = now;
    if (this.#balance < PRICE) return false;
    this.#balance -= PRICE;
    return true;
  }
}
