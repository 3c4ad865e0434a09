import type { FramedEvents } from './frame-writer.ts';
import type { Source } from './scribe.ts';

/** Events that no disk took. They get their place in the chain when they leave. */
export interface UnloggedBatch {
  readonly sources: readonly Source[];
  /** Epoch milliseconds. */
  readonly at: number;
  /** Signed and perhaps already arrived: may not change any more. */
  fixed: FramedEvents | null;
}

/** Holds events in memory, oldest first and not too many, while the disk does not take them. */
export class Unlogged {
  readonly #max: number;
  readonly #batches: UnloggedBatch[] = [];
  #count = 0;
  /** The oldest batch is on its way to the stream: nothing may be chained before it. */
  inFlight = false;

  constructor(max: number) {
    this.#max = max;
  }

  get count(): number {
    return this.#count;
  }

  get room(): number {
    return this.#max - this.#count;
  }

  get oldest(): UnloggedBatch | undefined {
    return this.#batches[0];
  }

  /** Takes as many as there is room for. Gives the batch, or null where there was none. */
  add(sources: readonly Source[]): UnloggedBatch | null {
    const held = sources.slice(0, this.room);
    if (held.length === 0) return null;
    const batch = { sources: held, at: Date.now(), fixed: null };
    this.#batches.push(batch);
    this.#count += held.length;
    return batch;
  }

  holds(batch: UnloggedBatch): boolean {
    return this.#batches.includes(batch);
  }

  remove(batch: UnloggedBatch): void {
    const index = this.#batches.indexOf(batch);
    if (index === -1) return;
    this.#batches.splice(index, 1);
    this.#count -= batch.sources.length;
  }

  /** Lets go of everything. Gives how many events there were. */
  clear(): number {
    const count = this.#count;
    this.#batches.length = 0;
    this.#count = 0;
    return count;
  }
}
