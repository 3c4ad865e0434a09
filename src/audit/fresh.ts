import type { FramedEvents } from './frame-writer.ts';
import type { Position } from './segments.ts';

/** Most events held. */
const MAX = 16_384;

/** Memory of batches gone is kept for so many to come: V8 collects its whole heap every few megabytes of new buffers. */
const SPARE = 4;
const SPARE_SIZE = 524_288;

interface FreshBatch {
  readonly events: FramedEvents;
  /** Where in the spool they end. */
  readonly end: Position;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** The newest events of the spool, held in memory too, so that shipping them needs no reading. */
export class Fresh {
  #batches: FreshBatch[] = [];
  #count = 0;
  readonly #spare: Buffer[] = [];

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
    this.#batches.push({ events: { count, bytes: this.#copy(bytes) }, end, at: Date.now() });
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
    for (const { events } of this.#batches.splice(0, batches)) {
      this.#count -= events.count;
      const memory = Buffer.from(events.bytes.buffer);
      if (memory.length === SPARE_SIZE && this.#spare.length < SPARE) this.#spare.push(memory);
    }
  }

  /** Lets go of everything. Gives how many events there were. */
  clear(): number {
    const count = this.#count;
    this.#batches = [];
    this.#count = 0;
    return count;
  }

  #copy(bytes: Buffer): Buffer {
    if (bytes.length > SPARE_SIZE) return Buffer.from(bytes);
    const memory = this.#spare.pop() ?? Buffer.allocUnsafeSlow(SPARE_SIZE);
    bytes.copy(memory);
    return memory.subarray(0, bytes.length);
  }
}
