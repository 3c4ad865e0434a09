import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { readFrames } from './frame.ts';
import type { FramedEvents } from './frame-writer.ts';

/** How much is read at once. Bytes; more than the longest record. */
const READ_SIZE = 1_048_576;

/** Events of a part of a segment. */
export interface SegmentEvents {
  readonly events: FramedEvents;
  readonly damaged: number;
  /** Offset behind what was read. */
  readonly end: number;
}

/** Reads the next events of a segment from `offset`; what lies behind `until` belongs to nobody yet. */
export function readEvents(path: string, offset: number, until: number): SegmentEvents {
  const bytes = readPart(path, offset, Math.min(READ_SIZE, until - offset));
  const { records, damaged, end } = readFrames(bytes);
  const events = records.filter(({ kind }) => kind === 'e');
  const parts = events.map(({ start, end }) => bytes.subarray(start, end));
  // A record that is cut off by the end of its segment was torn by a crash.
  const torn = end < bytes.length ? offset + bytes.length >= until : bytes.length === 0 && offset < until;
  return {
    events: { count: events.length, bytes: Buffer.concat(parts) },
    damaged: damaged + (torn ? 1 : 0),
    end: torn ? until : offset + end,
  };
}

/** At most `limit` bytes of a file from `offset`; fewer where it ends before. */
function readPart(path: string, offset: number, limit: number): Buffer {
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
