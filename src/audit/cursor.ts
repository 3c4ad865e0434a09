import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Position } from './segments.ts';

/** Room for an entry's id of the stream: two numbers of 20 digits. */
const ID_LENGTH = 41;

/** How far a spool has been acknowledged, and the stream's id of the last event that was. */
export interface Progress {
  readonly position: Position;
  /** Empty where it is not known. */
  readonly lastId: string;
}

/** The file in which a spool's progress is kept, rewritten in place: one short write for each batch. */
export class Cursor {
  readonly #descriptor: number;

  constructor(folder: string) {
    this.#descriptor = openSync(join(folder, 'cursor'), 'a+', 0o600);
    closeSync(this.#descriptor);
    this.#descriptor = openSync(join(folder, 'cursor'), 'r+');
  }

  /** What was written last; null where nothing was, or a crash of the machine tore it. */
  static read(folder: string): Progress | null {
    try {
      return parse(readFileSync(join(folder, 'cursor'), 'latin1'));
    } catch {
      return null; // nothing was acknowledged yet: repeats are harmless
    }
  }

  write({ position, lastId }: Progress): void {
    const text = `${digits(position.segment)} ${digits(position.offset)} ${lastId.padEnd(ID_LENGTH)}`;
    writeSync(this.#descriptor, `${text} ${crc32(text).toString(16).padStart(8, '0')}\n`, 0, 'latin1');
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

function parse(line: string): Progress | null {
  const parts = /^((\d{15}) (\d{15}) ([\d-]*) *) ([0-9a-f]{8})\n$/.exec(line);
  if (parts === null) return null;
  const [, text = '', segment, offset, lastId = '', sum = ''] = parts;
  if (crc32(text) !== Number.parseInt(sum, 16)) return null;
  return { position: { segment: Number(segment), offset: Number(offset) }, lastId };
}

function digits(value: number): string {
  return String(value).padStart(15, '0');
}
