/** Bytes of a piece; holds most batches. */
const SIZE = 524_288;

/** Pieces kept at most. */
const KEPT = 4;

/** Memory that serves batch after batch: V8 collects its whole heap every few megabytes of new buffers. */
export class SpareMemory {
  readonly #pieces: Buffer[] = [];

  /** Gives at least `size` bytes, whatever they hold. */
  take(size: number): Buffer {
    return (size <= SIZE ? this.#pieces.pop() : undefined) ?? Buffer.allocUnsafeSlow(Math.max(size, SIZE));
  }

  /** Takes back what {@link take} gave, once nobody reads it any more. */
  giveBack(piece: Buffer): void {
    if (piece.length === SIZE && this.#pieces.length < KEPT) this.#pieces.push(piece);
  }
}
