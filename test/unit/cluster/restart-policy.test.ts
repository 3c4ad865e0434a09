import { expect, test } from 'vitest';
import { RestartPolicy } from '../../../src/cluster/restart-policy.ts';

test('deaths at start are waited out longer and longer, then given up', () => {
  const policy = new RestartPolicy();
  expect([1, 2, 3, 4, 5].map(() => policy.died(false))).toEqual([200, 400, 800, 1600, null]);
});

test('a worker that became ready resets the count', () => {
  const policy = new RestartPolicy();
  policy.died(false);
  policy.died(false);
  policy.ready();
  expect(policy.died(false)).toBe(200);
  expect(policy.died(true)).toBe(100);
});
