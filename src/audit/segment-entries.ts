import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { FRAME_HEAD, signedEvent } from './frame.ts';
import { listSegments, segmentPath } from './segments.ts';
import { slotNames } from './slot.ts';
import type { TrailEntry } from './trail-entry.ts';

/** The folder that holds the slots: `folder` itself, or `audit` in it where it is a state folder. */
export function trailFolder(folder: string): string {
  const inner = join(folder, 'audit');
  return existsSync(inner) && slotNames(folder).length === 0 ? inner : folder;
}

/** Paths of all segments under a state folder, a trail's folder or one slot's, oldest first in each slot. */
export function segmentsUnder(folder: string): string[] {
  const trail = trailFolder(folder);
  const slots = slotNames(trail);
  const folders = slots.length > 0 ? slots.map((slot) => join(trail, slot)) : [trail];
  return folders.flatMap((slot) => listSegments(slot).map(({ number }) => segmentPath(slot, number)));
}

/**
 * The events of one segment, also those whose checksum is wrong: their signature tells what they are worth.
 * Promises are left out, being no part of the trail yet.
 */
export function* segmentEntries(path: string): Iterable<TrailEntry> {
  const name = join(basename(dirname(path)), basename(path));
  const lines = readFileSync(path, 'latin1').split('\n');
  lines.pop(); // empty, or torn off by a crash
  let number = 0;
  for (const line of lines) {
    number++;
    const event = line.startsWith('e ') ? signedEvent(line.slice(FRAME_HEAD)) : null;
    if (event !== null) yield { id: null, place: `${name}:${number}`, ...event };
  }
}
