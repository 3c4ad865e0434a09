/** Milliseconds between two updates. */
const INTERVAL = 200;

/** A line at the bottom of the terminal that says how far a long run has come; nothing where there is none. */
export class Progress {
  readonly #what: string;
  readonly #total: number | null;
  readonly #shown = process.stderr.isTTY === true;
  #count = 0;
  #updatedAt = 0;

  /** @param total null: not known */
  constructor(what: string, total: number | null) {
    this.#what = what;
    this.#total = total;
  }

  advance(by = 1): void {
    this.#count += by;
    if (!this.#shown || (this.#count & 255) !== 0 || Date.now() - this.#updatedAt < INTERVAL) return;
    this.#updatedAt = Date.now();
    const share =
      this.#total === null ? '' : ` of ${this.#total} (${Math.floor((100 * this.#count) / this.#total)} %)`;
    process.stderr.write(`\r${this.#what} ${this.#count}${share}\x1b[K`);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#shown) process.stderr.write('\r\x1b[K');
  }
}
