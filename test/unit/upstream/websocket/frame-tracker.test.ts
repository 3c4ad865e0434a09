import fc from 'fast-check';
import { expect, test } from 'vitest';
import { closeFrame } from '../../../../src/upstream/websocket/close-frame.ts';
import { FrameTracker } from '../../../../src/upstream/websocket/frame-tracker.ts';

/** A frame written by the letter of RFC 6455 §5.2, in any of its length encodings. */
const frame = fc
  .record({
    first: fc.integer({ min: 0, max: 255 }),
    masked: fc.boolean(),
    size: fc.oneof(fc.constantFrom(0, 1, 125, 126, 127, 65_535, 65_536), fc.integer({ min: 0, max: 300 })),
    form: fc.constantFrom(7, 16, 64),
  })
  .map(({ first, masked, size, form }) => {
    const bit = masked ? 0x80 : 0;
    const length =
      form === 7 && size < 126
        ? Buffer.of(bit | size)
        : form !== 64 && size < 65_536
          ? Buffer.of(bit | 126, size >> 8, size & 255)
          : Buffer.concat([Buffer.of(bit | 127), Buffer.from(size.toString(16).padStart(16, '0'), 'hex')]);
    return Buffer.concat([
      Buffer.of(first),
      length,
      masked ? Buffer.alloc(4, 7) : Buffer.alloc(0),
      Buffer.alloc(size, 0x88),
    ]);
  });

test('frame boundaries are found wherever the bytes are cut into chunks', () => {
  const streams = fc.array(frame, { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(streams, fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1 }), (frames, sizes) => {
      const bytes = Buffer.concat(frames);
      const ends: number[] = [];
      let end = 0;
      for (const { length } of frames) {
        end += length;
        ends.push(end);
      }
      const tracker = new FrameTracker();
      const found: number[] = [];
      for (let from = 0, i = 0; from < bytes.length; i++) {
        const chunk = bytes.subarray(from, from + (sizes[i % sizes.length] ?? 1));
        for (let at = 0; at < chunk.length; ) {
          at = tracker.advance(chunk, at);
          if (tracker.atBoundary) found.push(from + at);
        }
        from += chunk.length;
      }
      expect(found).toEqual(ends);
      expect(tracker.closeSeen).toBe(frames.some((one) => ((one[0] ?? 0) & 15) === 8));
    }),
  );
});

test('a close frame is written as RFC 6455 has it', () => {
  expect(closeFrame(1001, 'bye', false)).toEqual(Buffer.from('880503e9627965', 'hex'));
  const masked = closeFrame(1008, 'token revoked', true);
  expect([masked[0], masked[1], masked.length]).toEqual([0x88, 0x80 | 15, 2 + 4 + 15]);
  const mask = masked.subarray(2, 6);
  const payload = masked.subarray(6).map((byte, i) => byte ^ (mask[i % 4] ?? 0));
  expect([Buffer.from(payload).readUInt16BE(), String(Buffer.from(payload.subarray(2)))]).toEqual([
    1008,
    'token revoked',
  ]);
});
