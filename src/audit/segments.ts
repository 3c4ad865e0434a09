import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';

const SEGMENT = /^(\d{8})\.log$/;

/** Where in a spool something is: the number of a segment and an offset in it. */
export interface Position {
  readonly segment: number;
  readonly offset: number;
}

export function isBefore(a: Position, b: Position): boolean {
  return a.segment < b.segment || (a.segment === b.segment && a.offset < b.offset);
}

export function segmentPath(folder: string, number: number): string {
  return join(folder, `${String(number).padStart(8, '0')}.log`);
}

/** The segments of a folder with their sizes in bytes, oldest first. */
export function listSegments(folder: string): { number: number; size: number }[] {
  return readdirSync(folder)
    .map((name) => SEGMENT.exec(name)?.[1])
    .filter((number) => number !== undefined)
    .map(Number)
    .sort((a, b) => a - b)
    .map((number) => ({ number, size: statSync(segmentPath(folder, number)).size }));
}

/** At most `limit` bytes of a file from `offset`; fewer where it ends before. */
export function readPart(path: string, offset: number, limit: number): Buffer {
  const descriptor = openSync(path, 'r');
  try {
    const size = Math.max(0, Math.min(limit, fstatSync(descriptor).size - offset));
    const bytes = Buffer.allocUnsafe(size);
    let read = 0;
    while (read < size) {
      const count = readSync(descriptor, bytes, read, size - read, offset + read);
      if (count === 0) break;
      read += count;
    }
    return bytes.subarray(0, read);
  } finally {
    closeSync(descriptor);
  }
}
