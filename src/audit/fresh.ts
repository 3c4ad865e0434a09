import type { SignedEvent } from './frame.ts';
import type { Position } from './segments.ts';

/** Most events held. */
const MAX = 16_384;

interface FreshBatch {
  readonly events: readonly SignedEvent[];
  /** Where in the spool they end. */
  readonly end: Position;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** The newest events of the spool, held in memory too, so that shipping them needs no reading. */
export class Fresh {
  #batches: FreshBatch[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** When the oldest was added, in epoch milliseconds; null where there is none. */
  get since(): number | null {
    return this.#batches[0]?.at ?? null;
  }

  /** Holds events, unless there are too many. */
  add(events: readonly SignedEvent[], end: Position): boolean {
    if (this.#count + events.length > MAX) return false;
    this.#batches.push({ events, end, at: Date.now() });
    this.#count += events.length;
    return true;
  }

  /** The oldest batches that together hold at most `limit` events, but one at least; null without any. */
  oldest(limit: number): { events: readonly SignedEvent[]; end: Position; batches: number } | null {
    const [first] = this.#batches;
    if (first === undefined) return null;
    let { events, end } = first;
    let batches = 1;
    for (let next = this.#batches[1]; next !== undefined; next = this.#batches[batches]) {
      if (events.length + next.events.length > limit) break;
      events = events.concat(next.events);
      end = next.end;
      batches++;
    }
    return { events, end, batches };
  }

  /** Lets go of so many of the oldest batches. */
  shift(batches: number): void {
    for (const { events } of this.#batches.splice(0, batches)) this.#count -= events.length;
  }

  /** Lets go of everything. Gives how many events there were. */
  clear(): number {
    const count = this.#count;
    this.#batches = [];
    this.#count = 0;
    return count;
  }
}
