/**
 * A revocation counter of one name (a user, a token's `jti`). Whoever holds what was learnt under it notes
 * the count; a different count later means that it must be asked again.
 */
export interface Watermark {
  readonly name: string;
  count: number;
  holders: number;
}

/**
 * The revocation counters of a worker. A counter exists only while a cache entry or a load in flight holds
 * it, so memory is bounded by the caches; a revocation of a name nobody holds concerns nothing here.
 */
export class Watermarks {
  /** Counts the times at which revocations may have been missed: loads under way then are begun again. */
  epoch = 0;
  readonly #marks = new Map<string, Watermark>();

  /** Takes hold of the counter of `name`; every hold needs one {@link release}. */
  hold(name: string): Watermark {
    let mark = this.#marks.get(name);
    if (mark === undefined) {
      mark = { name, count: 0, holders: 0 };
      this.#marks.set(name, mark);
    }
    mark.holders++;
    return mark;
  }

  release(mark: Watermark): void {
    if (--mark.holders === 0) this.#marks.delete(mark.name);
  }

  /** Outdates all that was learnt under `name` up to now. Tells whether anything was. */
  raise(name: string): boolean {
    const mark = this.#marks.get(name);
    if (mark === undefined) return false;
    mark.count++;
    return true;
  }
}
