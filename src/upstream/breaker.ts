/** First time out; doubled by each probe that fails, up to {@link LONGEST}. Milliseconds. */
const SHORTEST = 1_000;
const LONGEST = 10_000;

/** A probe that is due may wait so long for a request that could be tried again elsewhere. Milliseconds. */
const PROBE_PATIENCE = 2_000;

/** How a target stands: in rotation, out of it, or out and being tried by a request. */
export type Standing = 'up' | 'ejected' | 'probing';

/**
 * Takes a target out of rotation after failures in a row and lets one request at a time find out whether it
 * is back. Own code, because the libraries for this (cockatiel, opossum) wrap each call in promises and
 * closures, where the way of a request needs no more than a counter.
 */
export class Breaker {
  /** In a row; counts only while closed. */
  #failures = 0;
  /** Milliseconds between probes; 0: closed. */
  #backOff = 0;
  #probeAt = 0;
  #probing = false;

  /** Whether the target is in rotation. */
  get closed(): boolean {
    return this.#backOff === 0;
  }

  get standing(): Standing {
    if (this.closed) return 'up';
    return this.#probing ? 'probing' : 'ejected';
  }

  /** Milliseconds until the next probe. */
  waitsFor(now: number): number {
    return Math.max(0, this.#probeAt - now);
  }

  /**
   * Whether the next probe is due. It does not wait for the one before, which may be a slow request to a
   * sound target.
   * @param eager whether a failure could be made good elsewhere; other requests are spared for a while
   */
  isDue(now: number, eager: boolean): boolean {
    return now >= (eager ? this.#probeAt : this.#probeAt + PROBE_PATIENCE);
  }

  /** Notes that a request goes out as a probe. */
  probe(now: number): void {
    this.#probing = true;
    this.#probeAt = now + this.#backOff;
  }

  /** Another source knows that the target is back: makes the next probe due. */
  hasten(now: number): void {
    if (!this.closed) this.#probeAt = Math.min(this.#probeAt, now);
  }

  /** The target answered. Gives whether that brought it back. */
  succeeded(): boolean {
    this.#failures = 0;
    if (this.closed) return false;
    this.#backOff = 0;
    this.#probing = false;
    return true;
  }

  /**
   * The target failed. Gives whether that took it out of rotation.
   * @param threshold so many failures in a row open the breaker
   */
  failed(now: number, threshold: number): boolean {
    if (!this.closed) {
      // Requests from before the breaker opened say nothing new.
      if (!this.#probing) return false;
      this.#probing = false;
      this.#backOff = Math.min(this.#backOff * 2, LONGEST);
      this.#probeAt = now + this.#backOff;
      return false;
    }
    this.#failures++;
    if (this.#failures < threshold) return false;
    this.#failures = 0;
    this.#backOff = SHORTEST;
    this.#probeAt = now + SHORTEST;
    return true;
  }
}
