import type { Socket } from 'node:net';
import type { FrameTracker } from './frame-tracker.ts';

/** One direction of a tunnel: bytes as they come, at the receiver's pace, until it is told to stop. */
export class TunnelFlow {
  /** Bytes passed on. */
  bytes = 0;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #frames: FrameTracker | null;
  readonly #onBytes: () => void;
  /** To be written at the next boundary, after which nothing passes any more. */
  #last: Buffer | null = null;
  #stopped = false;

  /**
   * @param frames follows the frames of this direction; null: the protocol's are not known
   * @param onBytes told of each chunk, passed on or not, once it was looked at
   */
  constructor(from: Socket, to: Socket, frames: FrameTracker | null, onBytes: () => void) {
    this.#from = from;
    this.#to = to;
    this.#frames = frames;
    this.#onBytes = onBytes;
  }

  /** Begins. What was read before goes first. */
  start(early: readonly Buffer[]): void {
    this.#from.on('data', this.#onData);
    this.#from.on('end', this.#onEnd);
    this.#to.on('drain', this.#onDrain);
    for (const chunk of early) this.#onData(chunk);
    if (!this.#to.writableNeedDrain) this.#from.resume();
  }

  /** Whether the sender's close frame has come. */
  get closeSeen(): boolean {
    return this.#frames?.closeSeen === true;
  }

  /** Passes nothing on after the current frame but `last`, and that only if no close frame has gone before. */
  stop(last: Buffer): void {
    if (this.#stopped || this.#last !== null) return;
    this.#last = last;
    if (this.#frames === null || this.#frames.atBoundary) this.#finish(last);
  }

  #finish(last: Buffer): void {
    this.#stopped = true;
    if (this.#frames === null) this.#to.end();
    else if (!this.#frames.closeSeen && this.#to.writable) this.#to.write(last);
    // What the sender still has is read and dropped, so that its own end is seen.
    this.#from.resume();
  }

  readonly #onData = (chunk: Buffer) => {
    const passed = this.#stopped ? 0 : this.#passable(chunk);
    if (passed > 0 && this.#to.writable) {
      this.bytes += passed;
      if (!this.#to.write(passed === chunk.length ? chunk : chunk.subarray(0, passed))) this.#from.pause();
    }
    if (!this.#stopped && this.#last !== null && this.#frames?.atBoundary === true) this.#finish(this.#last);
    // A sender's close frame is of interest in what is dropped, too.
    if (passed < chunk.length) this.#follow(chunk, passed);
    this.#onBytes();
  };

  /** How much of a chunk may pass: all of it, or what completes the frame when this is to be the last one. */
  #passable(chunk: Buffer): number {
    if (this.#last !== null && this.#frames !== null) return this.#frames.advance(chunk, 0);
    this.#follow(chunk, 0);
    return chunk.length;
  }

  #follow(chunk: Buffer, from: number): void {
    if (this.#frames === null) return;
    for (let at = from; at < chunk.length; ) at = this.#frames.advance(chunk, at);
  }

  readonly #onEnd = () => {
    this.#to.end();
  };

  readonly #onDrain = () => {
    this.#from.resume();
  };
}
