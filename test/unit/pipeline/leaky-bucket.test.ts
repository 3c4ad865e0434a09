import { expect, test } from 'vitest';
import { type Bucket, pour, TEN_A_MINUTE, waitFor } from '../../../src/pipeline/leaky-bucket.ts';

/** What becomes of requests that arrive at `times`, in milliseconds. */
function admitted(times: readonly number[]): boolean[] {
  let bucket: Bucket | undefined;
  return times.map((now) => {
    const next = bucket === undefined ? { excess: 0, countedAt: now } : pour(bucket, now, TEN_A_MINUTE);
    if (next !== null) bucket = next;
    return next !== null;
  });
}

const count = (times: readonly number[]) => admitted(times).filter(Boolean).length;

test('one and a burst of five pass at once, the next one after the time of one', () => {
  expect(count(Array(20).fill(0))).toBe(6);
  // 1000 thousandths leak away in 6024.1 ms at 166 a second.
  expect(admitted([...Array(6).fill(0), 6024])).toEqual([...Array(6).fill(true), false]);
  expect(admitted([...Array(6).fill(0), 6025])).toEqual(Array(7).fill(true));
});

test('a refused request counts for nothing', () => {
  const impatient = Array.from({ length: 6025 }, (_, ms) => ms);
  expect(count([...Array(6).fill(0), ...impatient, 6025])).toBe(7);
});

test('in the long run it is nginx’s 9.96 a minute', () => {
  const hour = Array.from({ length: 36_000 }, (_, i) => i * 100);
  expect(count(hour)).toBe(6 + Math.floor((3600 * 166) / 1000));
});

test('after a pause the burst is whole again, and no larger', () => {
  expect(count([...Array(6).fill(0), ...Array(20).fill(37_000)])).toBe(12);
  expect(count([...Array(6).fill(0), ...Array(20).fill(10_000_000)])).toBe(12);
});

test('a clock set back neither admits nor punishes', () => {
  expect(count([...Array(6).fill(100_000), ...Array(10).fill(99_000)])).toBe(6);
  expect(admitted([...Array(6).fill(100_000), 99_000, 106_025])).toEqual([
    ...Array(6).fill(true),
    false,
    true,
  ]);
});

test('the wait told is the shortest that helps', () => {
  for (const elapsed of [0, 1, 17, 3000, 6024]) {
    const bucket: Bucket = { excess: 5000, countedAt: 0 };
    expect(pour(bucket, elapsed, TEN_A_MINUTE)).toBeNull();
    const wait = waitFor(bucket, elapsed, TEN_A_MINUTE);
    expect(pour(bucket, elapsed + wait, TEN_A_MINUTE)).not.toBeNull();
    expect(pour(bucket, elapsed + wait - 1, TEN_A_MINUTE)).toBeNull();
  }
});
