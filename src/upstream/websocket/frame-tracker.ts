/** Longest header of a frame: two bytes, a 64-bit length, a mask (RFC 6455 §5.2). */
const MAX_HEADER = 14;

const OPCODE_CLOSE = 0x8;

/**
 * Follows the frames of one direction of a WebSocket without changing or keeping them, so that a frame of the
 * gateway's own can be put between two and never into one.
 */
export class FrameTracker {
  readonly #header = Buffer.allocUnsafe(MAX_HEADER);
  /** Bytes of the current frame's header that have come; 0 between frames. */
  #have = 0;
  /** Payload bytes of the current frame still to come; -1 while its header is not complete. */
  #payload = -1;
  /** Whether a close frame has gone by: nothing may follow it (RFC 6455 §5.5.1). */
  closeSeen = false;

  /** Whether the last byte seen was the last one of a frame. */
  get atBoundary(): boolean {
    return this.#have === 0;
  }

  /** Reads on from `from` until the current frame or the chunk ends. Gives the index it came to. */
  advance(chunk: Buffer, from: number): number {
    let at = from;
    while (at < chunk.length && this.#payload === -1) {
      this.#header[this.#have++] = chunk[at++] as number; // within the chunk: the loop's condition
      if (this.#have === this.#headerLength()) this.#payload = this.#payloadLength();
    }
    if (this.#payload === -1) return at;
    const taken = Math.min(this.#payload, chunk.length - at);
    this.#payload -= taken;
    if (this.#payload === 0) this.#endFrame();
    return at + taken;
  }

  #endFrame(): void {
    if ((this.#byte(0) & 0x0f) === OPCODE_CLOSE) this.closeSeen = true;
    this.#have = 0;
    this.#payload = -1;
  }

  #headerLength(): number {
    if (this.#have < 2) return 2;
    const length = this.#byte(1) & 0x7f;
    return 2 + (length === 127 ? 8 : length === 126 ? 2 : 0) + ((this.#byte(1) & 0x80) === 0 ? 0 : 4);
  }

  #payloadLength(): number {
    const length = this.#byte(1) & 0x7f;
    if (length === 126) return this.#header.readUInt16BE(2);
    // Beyond 2^53 a frame ends never; so does its sender's patience.
    return length === 127 ? Number(this.#header.readBigUInt64BE(2)) : length;
  }

  #byte(index: 0 | 1): number {
    return this.#header[index] as number; // the header has 14
  }
}
