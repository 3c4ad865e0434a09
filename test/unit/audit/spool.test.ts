import { appendFileSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { frame, readFrames, signedEvent } from '../../../src/audit/frame.ts';
import { segmentPath } from '../../../src/audit/segments.ts';
import { Slot } from '../../../src/audit/slot.ts';
import { Spool } from '../../../src/audit/spool.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gateway-spool-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function open(options: { max?: number; retention?: number } = {}): Spool {
  const header = () => '{"worker":"w","seq":0,"last":null,"strict":false}';
  return new Spool(Slot.claim(folder), { max: 16 * 65_536, retention: 0, header, ...options });
}

const event = (n: number, fillSize = 1_000) =>
  frame('e', `v1:0 {"event_id":"${n}","fill":"${'x'.repeat(fillSize)}"}`);
const append = (spool: Spool, from: number, to: number) => {
  for (let n = from; n < to; n++) spool.append(Buffer.from(event(n)), false);
};
/** Reads and acknowledges everything. */
function drain(spool: Spool): { ids: number[]; damaged: number } {
  const ids: number[] = [];
  let damaged = 0;
  for (let found = spool.read(spool.end); found !== null; found = spool.read(spool.end)) {
    const { records } = readFrames(found.events.bytes);
    ids.push(...records.map(({ payload }) => Number(JSON.parse(signedEvent(payload)?.data ?? '').event_id)));
    damaged += found.damaged;
    spool.acknowledge(found.end, '1-0');
  }
  return { ids, damaged };
}
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_value, i) => from + i);
const segments = () => readdirSync(join(folder, 'worker-1')).filter((name) => name.endsWith('.log'));

test('segments are rotated by size and removed once acknowledged', () => {
  const spool = open();
  append(spool, 0, 200);
  expect(segments().length).toBeGreaterThan(2);
  expect(drain(spool).ids).toEqual(numbers(0, 200));
  expect(spool.hasUnsent).toBe(false);
  append(spool, 200, 201);
  expect(drain(spool).ids).toEqual([200]);
  expect(segments()).toHaveLength(1);
  spool.close(true);
});

test('who takes a slot over goes on where the stream had acknowledged', () => {
  const first = open();
  append(first, 0, 10);
  const found = first.read(first.end);
  append(first, 10, 20);
  first.acknowledge(found?.end ?? first.end, '7-0');
  first.slot.release(); // as the end of the process does it
  const second = open();
  expect(second.progress.lastId).toBe('7-0');
  append(second, 20, 25);
  expect(drain(second).ids).toEqual(numbers(10, 25));
  second.close(true);
});

test('a torn tail costs the torn record, not the segment and not the next one', () => {
  const first = open();
  append(first, 0, 5);
  appendFileSync(segmentPath(first.slot.folder, 1), event(5).slice(0, 300));
  first.slot.release();
  const second = open();
  append(second, 6, 9);
  expect(drain(second)).toEqual({ ids: [0, 1, 2, 3, 4, 6, 7, 8], damaged: 1 });
  second.close(true);
});

/** Appends one event after the other until there is no room. Gives how many were taken. */
function fill(spool: Spool, fillSize = 1_000): number {
  for (let n = 0; ; n++) {
    try {
      spool.append(Buffer.from(event(n, fillSize)), false);
    } catch (error) {
      expect(`${error}`).toContain('AUDIT_SPOOL_MAX');
      return n;
    }
  }
}
const bytesOnDisk = () =>
  segments().reduce((sum, name) => sum + statSync(join(folder, 'worker-1', name)).size, 0);

test('a full spool takes nothing more, and what is only kept for its time makes room', () => {
  const spool = open({ retention: 3_600_000 });
  const taken = fill(spool);
  expect(taken).toBeGreaterThan(900);
  expect(drain(spool).ids).toHaveLength(taken);
  expect(segments().length).toBeGreaterThan(10);
  append(spool, taken, taken + 1);
  expect(drain(spool).ids).toEqual([taken]);
  spool.close(true);
});

test('a spool never takes more than its limit, also where only the header of a segment is too much', () => {
  for (let size = 65_300; size < 65_540; size += 5) {
    const spool = open({ max: 4 * 65_536 });
    fill(spool, size);
    expect(bytesOnDisk()).toBeLessThanOrEqual(4 * 65_536);
    expect(bytesOnDisk()).toBe(spool.size);
    spool.close(false);
    rmSync(spool.slot.folder, { recursive: true });
  }
});

test('a segment that does not fit together with the promises it begins with is not begun', () => {
  const spool = open({ max: 4 * 65_536 });
  spool.promise('p', frame('i', 'x'.repeat(70_000)));
  fill(spool);
  expect(bytesOnDisk()).toBeLessThanOrEqual(4 * 65_536);
  spool.close(true);
});

test('what the stream has lost is read again, from where it still had something or from the start', () => {
  const spool = open({ retention: 3_600_000 });
  append(spool, 0, 150);
  drain(spool);
  const middle = spool.progress.position;
  append(spool, 150, 160);
  drain(spool);
  spool.rewind(middle);
  expect(drain(spool).ids).toEqual(numbers(150, 160));
  spool.rewind(null);
  expect(drain(spool).ids).toEqual(numbers(0, 160));
  spool.close(true);
});

test('a slot has one owner, and is free again once that is gone', () => {
  const slot = Slot.claim(folder);
  expect(Slot.tryClaim(folder, slot.name)).toBeNull();
  expect(Slot.claim(folder).name).toBe('worker-2');
  slot.release();
  expect(Slot.claim(folder).name).toBe(slot.name);
});
