import type { FramedEvents } from './frame-writer.ts';
import type { Position } from './segments.ts';
import { SpareMemory } from './spare-memory.ts';

/** Most events held. */
const MAX = 16_384;

interface FreshBatch {
  readonly events: FramedEvents;
  /** What the events' bytes are a part of. */
  readonly memory: Buffer;
  /** Where in the spool they end. */
  readonly end: Position;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** The newest events of the spool, held in memory too, so that shipping them needs no reading. */
export class Fresh {
  #batches: FreshBatch[] = [];
  #count = 0;
  readonly #spare = new SpareMemory();

  get count(): number {
    return this.#count;
  }

  /** When the oldest was added, in epoch milliseconds; null where there is none. */
  get since(): number | null {
    return this.#batches[0]?.at ?? null;
  }

  /** Holds a copy of events, unless there are too many. */
  add({ count, bytes }: FramedEvents, end: Position): boolean {
    if (this.#count + count > MAX) return false;
    const memory = this.#spare.take(bytes.length);
    bytes.copy(memory);
    const events = { count, bytes: memory.subarray(0, bytes.length) };
    this.#batches.push({ events, memory, end, at: Date.now() });
    this.#count += count;
    return true;
  }

  /** The oldest batches that together hold at most `limit` events, but one at least; null without any. */
  oldest(limit: number): { events: FramedEvents; end: Position; batches: number } | null {
    const [first] = this.#batches;
    if (first === undefined) return null;
    let { events, end } = first;
    let batches = 1;
    for (let next = this.#batches[1]; next !== undefined; next = this.#batches[batches]) {
      const count = events.count + next.events.count;
      if (count > limit) break;
      events = { count, bytes: Buffer.concat([events.bytes, next.events.bytes]) };
      end = next.end;
      batches++;
    }
    return { events, end, batches };
  }

  /** Lets go of so many of the oldest batches, which nobody reads any more. */
  shift(batches: number): void {
    for (const { events, memory } of this.#batches.splice(0, batches)) {
      this.#count -= events.count;
      this.#spare.giveBack(memory);
    }
  }

  /** Lets go of everything; something may still be sent from it. Gives how many events there were. */
  clear(): number {
    const count = this.#count;
    this.#batches = [];
    this.#count = 0;
    return count;
  }
}
