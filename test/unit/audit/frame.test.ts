import fc from 'fast-check';
import { expect, test } from 'vitest';
import { frame, readFrames } from '../../../src/audit/frame.ts';

const payloads = fc.array(fc.string({ unit: 'grapheme-ascii', maxLength: 80 }), {
  minLength: 1,
  maxLength: 8,
});
const segmentOf = (list: readonly string[]) =>
  Buffer.from(list.map((payload) => frame('e', payload)).join(''));
const found = (bytes: Buffer) => readFrames(bytes).records.map(({ payload }) => payload);

test('what was framed is read back', () => {
  fc.assert(
    fc.property(payloads, (list) => {
      expect(found(segmentOf(list))).toEqual(list);
    }),
  );
});

test('a segment that ends anywhere gives all records that are whole, and where the torn one begins', () => {
  fc.assert(
    fc.property(payloads, fc.nat(), (list, cut) => {
      const whole = segmentOf(list);
      const bytes = whole.subarray(0, cut % whole.length);
      const { records, damaged, end } = readFrames(bytes);
      expect(records.map(({ payload }) => payload)).toEqual(list.slice(0, records.length));
      expect(damaged).toBe(0);
      expect(end).toBe(segmentOf(list.slice(0, records.length)).length);
      expect(segmentOf(list.slice(0, records.length + 1)).length).toBeGreaterThan(bytes.length);
    }),
  );
});

test('a byte that changed costs at most the record it is in and the one behind it', () => {
  fc.assert(
    fc.property(payloads, fc.nat(), fc.integer({ min: 1, max: 255 }), (list, at, change) => {
      const bytes = segmentOf(list);
      const index = at % bytes.length;
      bytes[index] = (bytes[index] ?? 0) ^ change;
      const hit = list.findIndex((_payload, i) => index < segmentOf(list.slice(0, i + 1)).length);
      const kept = found(bytes);
      const survivors = list.filter((_payload, i) => i < hit || i > hit + 1);
      for (const payload of survivors) expect(kept).toContain(payload);
      for (const payload of kept) expect(list).toContain(payload);
    }),
  );
});
