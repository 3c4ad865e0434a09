import { expect, test } from 'vitest';
import { LoadShedding } from '../../../src/cluster/load-shedding.ts';

/** How many of 100 requests are refused. */
function refused(shedding: LoadShedding): number {
  return Array.from({ length: 100 }, () => shedding.refuses()).filter(Boolean).length;
}

test('a single late tick refuses nobody', () => {
  const shedding = new LoadShedding(100);
  for (const lag of [500, 0, 500, 0]) shedding.observe(lag);
  expect(refused(shedding)).toBe(0);
});

test('the share refused rises while the lag stays, never to all', () => {
  const shedding = new LoadShedding(100);
  const shares = Array.from({ length: 20 }, () => {
    shedding.observe(200);
    return shedding.share;
  });
  expect(shares).toEqual([...shares].sort((a, b) => a - b));
  expect(shedding.share).toBe(0.95);
  expect(Math.abs(refused(shedding) - 95)).toBeLessThan(2);
});

test('between half the limit and the limit nothing changes; below it the share falls slowly to none', () => {
  const shedding = new LoadShedding(100);
  for (let i = 0; i < 4; i++) shedding.observe(200);
  const { share } = shedding;
  expect(share).toBeGreaterThan(0);
  for (let i = 0; i < 50; i++) shedding.observe(75);
  expect(shedding.share).toBe(share);
  shedding.observe(10);
  expect(shedding.share).toBeGreaterThan(0);
  expect(shedding.share).toBeLessThan(share);
  for (let i = 0; i < 20; i++) shedding.observe(10);
  expect(refused(shedding)).toBe(0);
});
