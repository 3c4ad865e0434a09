import { expect, test } from 'vitest';
import { RetryBudget } from '../../../src/upstream/retry-budget.ts';

function withdrawn(budget: RetryBudget, tries: number, now = 0): number {
  return Array.from({ length: tries }, () => budget.withdraw(now)).filter(Boolean).length;
}

test('allows a fifth of the requests beyond the floor', () => {
  const budget = new RetryBudget(0);
  for (let i = 0; i < 1000; i++) budget.deposit();
  expect(withdrawn(budget, 1000)).toBe(50 + 200);
});

test('the floor comes back at ten a second, and no further', () => {
  const budget = new RetryBudget(0);
  expect(withdrawn(budget, 100)).toBe(50);
  expect(withdrawn(budget, 100, 1000)).toBe(10);
  expect(withdrawn(budget, 100, 3_600_000)).toBe(50);
});

test('busy times save up a bounded number', () => {
  const budget = new RetryBudget(0);
  for (let i = 0; i < 1_000_000; i++) budget.deposit();
  expect(withdrawn(budget, 10_000)).toBe(2000);
});
