import { readdirSync, statSync, writeSync } from 'node:fs';
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

/** Writes everything at `position`. A disk that is nearly full takes a part without complaint; only the next write fails. */
export function writeWhole(descriptor: number, bytes: Buffer, position: number): void {
  for (let written = 0; written < bytes.length; ) {
    written += writeSync(descriptor, bytes, written, bytes.length - written, position + written);
  }
}
