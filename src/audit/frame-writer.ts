import { crc32 } from 'node:zlib';
import { FRAME_HEAD, frameHead, LF, type RecordKind, type SignedEvent } from './frame.ts';

const SPACE = 0x20;

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

  /** @param record ASCII, as every event's text is */
  add(kind: RecordKind, { data, sig }: SignedEvent): void {
    const length = sig.length + 1 + data.length;
    const start = this.#end;
    if (start + FRAME_HEAD + length + 1 > this.#bytes.length) this.#grow(length);
    const bytes = this.#bytes;
    const from = start + FRAME_HEAD;
    bytes.write(sig, from, 'latin1');
    bytes[from + sig.length] = SPACE;
    bytes.write(data, from + sig.length + 1, 'latin1');
    const end = from + length;
    bytes.write(
      frameHead(kind, length, crc32(bytes.subarray(from, end), kind.charCodeAt(0))),
      start,
      'latin1',
    );
    bytes[end] = LF;
    this.#end = end + 1;
  }

  #grow(length: number): void {
    const larger = Buffer.allocUnsafeSlow(this.#bytes.length * 2 + length);
    this.bytes.copy(larger);
    this.#bytes = larger;
  }
}
