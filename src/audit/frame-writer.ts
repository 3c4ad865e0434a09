import { FRAME_HEAD, frameHead, LF } from './frame.ts';
import { SIGNATURE_LENGTH } from './signature.ts';

/** Events as a segment holds them, one record after another: what is on disk is also what is sent to the stream. */
export interface FramedEvents {
  readonly count: number;
  readonly bytes: Buffer;
}

/**
 * Writes records one after another into memory it keeps for the next batch. A record's text becomes bytes once: digest,
 * signature and checksum are made of those. One string of a whole batch would be an object too large for V8's young
 * generation, and cost a full collection every few batches.
 */
export class FrameWriter {
  #bytes = Buffer.allocUnsafeSlow(262_144);
  /** Where the last record begins, or the one being written, and where the last complete one ends. */
  #start = 0;
  #end = 0;
  #kind: 'e' | 'i' = 'e';
  #text = this.#bytes.subarray(0, 0);

  /** The records written since it was cleared; valid until the next one. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#end);
  }

  /** The last record, as text. */
  get last(): string {
    return this.#bytes.toString('latin1', this.#start, this.#end);
  }

  clear(): void {
    this.#end = 0;
  }

  /**
   * Begins a record; {@link sign} ends it.
   * @param text ASCII, as every event's text is
   * @returns the text's bytes, valid until the next record
   */
  begin(kind: 'e' | 'i', text: string): Buffer {
    const most = FRAME_HEAD + SIGNATURE_LENGTH + 1 + text.length + 1;
    if (this.#end + most > this.#bytes.length) this.#grow(most);
    this.#kind = kind;
    this.#start = this.#end;
    const at = this.#start + FRAME_HEAD + SIGNATURE_LENGTH + 1;
    this.#text = this.#bytes.subarray(at, at + this.#bytes.write(text, at, 'latin1'));
    return this.#text;
  }

  /** @param signature of the text's bytes */
  sign(signature: string): void {
    const signed = `${signature} `;
    const head = frameHead(this.#kind, signed, this.#text) + signed;
    this.#end = this.#start + this.#bytes.write(head, this.#start, 'latin1') + this.#text.length;
    this.#bytes[this.#end++] = LF;
  }

  #grow(length: number): void {
    const larger = Buffer.allocUnsafeSlow(this.#bytes.length * 2 + length);
    this.bytes.copy(larger);
    this.#bytes = larger;
  }
}
