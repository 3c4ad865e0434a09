import { expect, test } from 'vitest';
import { RestartPolicy } from '../../../src/cluster/restart-policy.ts';

test('deaths at start are waited out longer and longer, then given up', () => {
  const policy = new RestartPolicy();
  expect([1, 2, 3, 4, 5].map(() => policy.died(false, false))).toEqual([200, 400, 800, 1600, null]);
});

test('a worker that became ready resets the count', () => {
  const policy = new RestartPolicy();
  policy.died(false, false);
  policy.died(false, false);
  policy.ready();
  expect(policy.died(false, false)).toBe(200);
  expect(policy.died(true, false)).toBe(100);
});

test('there is no giving up while other workers serve', () => {
  const policy = new RestartPolicy();
  const delays = Array.from({ length: 10 }, () => policy.died(false, true));
  expect(delays.slice(4)).toEqual([3200, 6400, 10_000, 10_000, 10_000, 10_000]);
});
