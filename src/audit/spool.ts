import { closeSync, fdatasyncSync, ftruncateSync, openSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Cursor, type Progress } from './cursor.ts';
import { frame } from './frame.ts';
import type { FramedEvents } from './frame-writer.ts';
import { readEvents } from './segment-events.ts';
import { isBefore, listSegments, type Position, segmentPath, writeWhole } from './segments.ts';
import { type Slot, slotNames } from './slot.ts';

/** A segment is closed at this size and the next one begun, earlier where the spool is small. Bytes. */
const SEGMENT_SIZE = 8_388_608;

export interface SpoolOptions {
  /** Bytes all spools of the trail may take together. */
  readonly max: number;
  /** Acknowledged segments are kept for so many milliseconds, in case the stream loses them. */
  readonly retention: number;
  /** Gives the header of a segment that begins: the state of the chain, as JSON. */
  readonly header: () => string;
}

/** Events read back. */
export interface SpooledEvents {
  readonly events: FramedEvents;
  /** Where the next ones begin. */
  readonly end: Position;
  readonly damaged: number;
  /** Whether they were written by a process before this one. */
  readonly inherited: boolean;
}

interface Segment {
  readonly number: number;
  size: number;
  /** Bytes it began with: the chain's state and promises still to be kept. */
  readonly startSize: number;
  /** Epoch milliseconds; 0 before. */
  acknowledgedAt: number;
}

/**
 * The segments of one slot: written at their end, read from where the stream has acknowledged them, removed
 * once that was long enough ago. Every method may throw what the file system throws.
 */
export class Spool {
  readonly slot: Slot;
  readonly #options: SpoolOptions;
  readonly #cursor: Cursor;
  readonly #segmentSize: number;
  readonly #firstOwn: number;
  /** Of the newest segment there is or was. */
  #lastNumber: number;
  /** Older segments first; the last is the one being written. */
  readonly #segments: Segment[] = [];
  #descriptor: number | null = null;
  #progress: Progress;
  /** Promises whose events are still to come, by the event's id. */
  readonly #promises = new Map<string, string>();
  #others = 0;
  /** Epoch milliseconds of the last append. */
  #appendedAt = 0;

  constructor(slot: Slot, options: SpoolOptions) {
    this.slot = slot;
    this.#options = options;
    this.#segmentSize = Math.min(SEGMENT_SIZE, Math.max(65_536, Math.floor(options.max / 16)));
    const found = listSegments(slot.folder);
    this.#segments.push(...found.map((segment) => ({ ...segment, startSize: 0, acknowledgedAt: 0 })));
    const first = found[0]?.number ?? 1;
    this.#lastNumber = found.at(-1)?.number ?? 0;
    this.#firstOwn = this.#lastNumber + 1;
    const known = Cursor.read(slot.folder);
    const start = { segment: first, offset: 0 };
    this.#progress =
      known === null || isBefore(known.position, start) ? { position: start, lastId: '' } : known;
    this.#cursor = new Cursor(slot.folder);
    this.measureOthers();
  }

  /** How far the stream has acknowledged. */
  get progress(): Progress {
    return this.#progress;
  }

  /** Where the next record goes. */
  get end(): Position {
    const last = this.#segments.at(-1);
    return last === undefined
      ? { segment: this.#lastNumber + 1, offset: 0 }
      : { segment: last.number, offset: last.size };
  }

  /** Whether something is not acknowledged. */
  get hasUnsent(): boolean {
    return isBefore(this.#progress.position, this.end);
  }

  /** Bytes of all segments of this slot. */
  get size(): number {
    return this.#segments.reduce((sum, { size }) => sum + size, 0);
  }

  /** Counts what other workers' segments take. */
  measureOthers(): void {
    const trail = dirname(this.slot.folder);
    this.#others = slotNames(trail)
      .filter((name) => name !== this.slot.name)
      .flatMap((name) => listSegments(join(trail, name)))
      .reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * Appends framed records as a whole or not at all.
   * @param sync wait until the disk itself has them
   * @throws where they would take the spools over their limit
   */
  append(bytes: Buffer, sync: boolean): void {
    if (!this.#makeRoom(bytes.length)) throw new Error('the spool is full (AUDIT_SPOOL_MAX)');
    try {
      this.#write(bytes, sync);
    } catch (error) {
      // The disk is full: what is only kept for its time makes room.
      if (!this.#forgetAcknowledged()) throw error;
      this.#write(bytes, sync);
    }
  }

  /** Remembers a promise's record until {@link keep}, so that it outlives the segment it was written to. */
  promise(eventId: string, record: string): void {
    this.#promises.set(eventId, record);
  }

  /** The promised event itself has come. */
  keep(eventId: string): void {
    if (this.#promises.size > 0) this.#promises.delete(eventId);
  }

  /** Reads events from where the stream has acknowledged; null where there are none. */
  read(limit: Position): SpooledEvents | null {
    for (let { segment, offset } = this.#progress.position; ; ) {
      const found = this.#segments.find(({ number }) => number >= segment);
      if (found === undefined || limit.segment < found.number) return null;
      const { number, size } = found;
      if (number > segment) [segment, offset] = [number, 0];
      const until = limit.segment === number ? Math.min(size, limit.offset) : size;
      const { events, damaged, end } = readEvents(segmentPath(this.slot.folder, number), offset, until);
      offset = end;
      if (events.count > 0 || damaged > 0) {
        return { events, end: { segment, offset }, damaged, inherited: number < this.#firstOwn };
      }
      if (offset >= until) {
        if (limit.segment === number || number === this.#segments.at(-1)?.number) {
          // Only headers and promises: nothing to wait for.
          this.#progress = { position: { segment, offset }, lastId: this.#progress.lastId };
          return null;
        }
        segment++;
        offset = 0;
      }
    }
  }

  /** The stream has everything up to `position`. */
  acknowledge(position: Position, lastId: string): void {
    this.#progress = { position, lastId: lastId === '' ? this.#progress.lastId : lastId };
    this.#cursor.write(this.#progress);
    const now = Date.now();
    for (const segment of this.#segments) {
      if (segment.number >= position.segment) break;
      if (segment.acknowledgedAt === 0) segment.acknowledgedAt = now;
    }
    this.removeExpired();
  }

  /** The stream has lost what came after `position`: it is to be read again, as far as it is still there. */
  rewind(position: Position | null): void {
    const first = { segment: this.#segments[0]?.number ?? this.#lastNumber + 1, offset: 0 };
    this.#progress = {
      position: position === null || isBefore(position, first) ? first : position,
      lastId: '',
    };
    for (const segment of this.#segments) segment.acknowledgedAt = 0;
    this.#cursor.write(this.#progress);
  }

  /** Removes segments that were acknowledged longer ago than the retention. */
  removeExpired(): void {
    const before = Date.now() - this.#options.retention;
    if (this.#appendedAt < before) this.#startOver();
    for (;;) {
      const [oldest] = this.#segments;
      if (oldest === undefined || oldest.acknowledgedAt === 0 || oldest.acknowledgedAt > before) return;
      if (!this.#removeOldest()) return;
    }
  }

  /** @param forget remove what is acknowledged whatever its age; the state of the chain stays */
  close(forget: boolean): void {
    try {
      if (forget) {
        this.#startOver();
        while (this.#removeOldest()) {}
      }
    } finally {
      this.#seal();
      this.#cursor.close();
      this.slot.release();
    }
  }

  #write(bytes: Buffer, sync: boolean): void {
    this.#descriptor ??= this.#begin();
    const last = this.#segments.at(-1) as Segment; // one has begun
    try {
      writeWhole(this.#descriptor, bytes, last.size);
      if (sync) fdatasyncSync(this.#descriptor);
    } catch (error) {
      this.#undo(this.#descriptor, last.size);
      throw error;
    }
    last.size += bytes.length;
    this.#appendedAt = Date.now();
    if (last.size >= this.#segmentSize) this.#seal();
  }

  /** Whether `bytes` more find room, once what is only kept for its time is given up. */
  #makeRoom(bytes: number): boolean {
    if (this.#hasRoom(bytes)) return true;
    this.measureOthers();
    while (!this.#hasRoom(bytes) && this.#removeOldest()) {}
    if (!this.#hasRoom(bytes)) this.#forgetAcknowledged();
    return this.#hasRoom(bytes);
  }

  #hasRoom(bytes: number): boolean {
    const start = this.#descriptor === null ? this.#start().length : 0;
    return this.#others + this.size + start + bytes <= this.#options.max;
  }

  /** Removes all that was acknowledged, also the segment being written. Gives whether there was anything. */
  #forgetAcknowledged(): boolean {
    let freed = false;
    while (this.#removeOldest()) freed = true;
    const last = this.#segments.at(-1);
    if (this.hasUnsent || last === undefined || last.size === last.startSize) return freed;
    this.#seal();
    rmSync(segmentPath(this.slot.folder, last.number), { force: true });
    this.#segments.pop();
    this.#progress = { position: this.end, lastId: this.#progress.lastId };
    return true;
  }

  /** Begins a new segment if everything in the last one was acknowledged, so that it can be removed. */
  #startOver(): void {
    const last = this.#segments.at(-1);
    if (this.hasUnsent || last === undefined || last.size === last.startSize) return;
    this.#seal();
    this.#descriptor = this.#begin();
    last.acknowledgedAt = this.#appendedAt;
    this.#progress = { position: this.end, lastId: this.#progress.lastId };
    this.#cursor.write(this.#progress);
  }

  /** What a segment begins with. */
  #start(): string {
    return frame('h', this.#options.header()) + [...this.#promises.values()].join('');
  }

  #begin(): number {
    const number = this.#lastNumber + 1;
    const path = segmentPath(this.slot.folder, number);
    const descriptor = openSync(path, 'w', 0o600);
    const start = this.#start();
    try {
      writeWhole(descriptor, Buffer.from(start, 'latin1'), 0);
    } catch (error) {
      closeSync(descriptor);
      rmSync(path, { force: true });
      throw error;
    }
    this.#lastNumber = number;
    this.#segments.push({ number, size: start.length, startSize: start.length, acknowledgedAt: 0 });
    return descriptor;
  }

  #seal(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  /** Takes back what was written of a record; where even that fails, nothing follows in this segment. */
  #undo(descriptor: number, size: number): void {
    try {
      ftruncateSync(descriptor, size);
    } catch {
      this.#seal();
      const last = this.#segments.at(-1);
      if (last !== undefined) last.size = statSync(segmentPath(this.slot.folder, last.number)).size;
    }
  }

  /** Removes the oldest segment if it was acknowledged and is not being written. */
  #removeOldest(): boolean {
    const [oldest] = this.#segments;
    if (oldest === undefined || this.#segments.length === 1) return false;
    if (oldest.number >= this.#progress.position.segment) return false;
    rmSync(segmentPath(this.slot.folder, oldest.number), { force: true });
    this.#segments.shift();
    return true;
  }
}
