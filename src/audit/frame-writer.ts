import { eventFrame, type SignedEvent } from './frame.ts';

/** Events as a segment holds them, one record after another: what is on disk is also what is sent to the stream. */
export interface FramedEvents {
  readonly count: number;
  readonly bytes: Buffer;
}

/**
 * Writes records one after another into memory it keeps for the next batch. One string of a whole batch would be
 * an object too large for V8's young generation, and cost a full collection every few batches.
 */
export class FrameWriter {
  #bytes = Buffer.allocUnsafeSlow(262_144);
  #end = 0;

  /** What was written since it was cleared; valid until the next record. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#end);
  }

  clear(): void {
    this.#end = 0;
  }

  /** @param event ASCII, as every event's text is */
  add(kind: 'e' | 'i', event: SignedEvent): void {
    const record = eventFrame(kind, event);
    if (this.#end + record.length > this.#bytes.length) this.#grow(record.length);
    this.#end += this.#bytes.write(record, this.#end, 'latin1');
  }

  #grow(length: number): void {
    const larger = Buffer.allocUnsafeSlow(this.#bytes.length * 2 + length);
    this.bytes.copy(larger);
    this.#bytes = larger;
  }
}
