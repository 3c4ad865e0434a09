import {
  closeSync,
  fdatasyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** A segment is closed at this size and the next one begun. Bytes. */
const SEGMENT_SIZE = 16_777_216;

/** One event with its signature. */
export interface SignedEvent {
  readonly data: string;
  readonly sig: string;
}

const HEAD = '{"sig":"';
const MIDDLE = '","event":';

/** One line of a segment: JSON that a person can read, from which the signed bytes come back exactly. */
function lineOf({ data, sig }: SignedEvent): string {
  return `${HEAD}${sig}${MIDDLE}${data}}\n`;
}

/** Takes a line apart; null where it is torn. */
function parseLine(line: string): SignedEvent | null {
  const middle = line.indexOf(MIDDLE);
  if (!line.startsWith(HEAD) || middle === -1 || !line.endsWith('}}')) return null;
  return { sig: line.slice(HEAD.length, middle), data: line.slice(middle + MIDDLE.length, -1) };
}

/**
 * Append-only files of JSON lines under one folder. Bounded: what does not fit any more is refused, so that
 * the oldest events stay.
 */
export class Spool {
  readonly #folder: string;
  readonly #owner: string;
  readonly #max: number;
  #size: number;
  #descriptor: number | null = null;
  #segmentSize = 0;
  #sequence = 0;

  /** @param owner names the segments this process writes @param max bytes of all segments together */
  constructor(folder: string, owner: string, max: number) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#folder = folder;
    this.#owner = owner;
    this.#max = max;
    this.#size = this.segments().reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  }

  /** Appends events and waits until they are on disk. Gives how many found room. */
  append(events: readonly SignedEvent[]): number {
    let lines = '';
    let taken = 0;
    let length = 0;
    for (const event of events) {
      const line = lineOf(event);
      const bytes = Buffer.byteLength(line);
      if (this.#size + length + bytes > this.#max) break;
      lines += line;
      length += bytes;
      taken++;
    }
    if (taken === 0) return 0;
    this.#descriptor ??= this.#begin();
    writeSync(this.#descriptor, lines);
    fdatasyncSync(this.#descriptor);
    this.#size += length;
    this.#segmentSize += length;
    if (this.#segmentSize >= SEGMENT_SIZE) this.seal();
    return taken;
  }

  /** Ends the segment being written, so that it can be shipped and removed. */
  seal(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  /** Names of this owner's segments, oldest first. */
  segments(): string[] {
    return readdirSync(this.#folder)
      .filter((name) => name.startsWith(`${this.#owner}.`) && name.endsWith('.jsonl'))
      .sort();
  }

  /** The events of a segment; torn lines are left out and counted. */
  read(name: string): { events: SignedEvent[]; torn: number } {
    const lines = readFileSync(join(this.#folder, name), 'utf8').split('\n');
    if (lines.at(-1) === '') lines.pop();
    const events = lines.map(parseLine).filter((event) => event !== null);
    return { events, torn: lines.length - events.length };
  }

  remove(name: string): void {
    const path = join(this.#folder, name);
    this.#size -= statSync(path).size;
    rmSync(path);
  }

  #begin(): number {
    const sequence = String(this.#sequence++).padStart(6, '0');
    this.#segmentSize = 0;
    return openSync(join(this.#folder, `${this.#owner}.${Date.now()}.${sequence}.jsonl`), 'a', 0o600);
  }
}
