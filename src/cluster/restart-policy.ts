const FIRST_DELAY = 100;
const LONGEST_DELAY = 10_000;

/** So many deaths in a row without one worker becoming ready are a crash loop. */
const CRASH_LOOP = 5;

/** Decides when a dead worker is replaced, and when there is no point in it. */
export class RestartPolicy {
  #deaths = 0;

  /** A worker serves: what is wrong, if anything, is not the start. */
  ready(): void {
    this.#deaths = 0;
  }

  /**
   * A worker died. Gives the milliseconds to wait before the next one, or null in a crash loop.
   * @param wasReady whether it had served @param othersServe whether there is something to go on for
   */
  died(wasReady: boolean, othersServe: boolean): number | null {
    if (wasReady) {
      this.#deaths = 0;
      return FIRST_DELAY;
    }
    this.#deaths++;
    if (this.#deaths >= CRASH_LOOP && !othersServe) return null;
    return Math.min(FIRST_DELAY * 2 ** this.#deaths, LONGEST_DELAY);
  }
}
