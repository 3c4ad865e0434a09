import { expect, test } from 'vitest';
import { Breaker } from '../../../src/upstream/breaker.ts';

function opened(now = 0): Breaker {
  const breaker = new Breaker();
  for (let i = 0; i < 3; i++) breaker.failed(now, 3);
  return breaker;
}

test('opens after failures in a row, not before', () => {
  const breaker = new Breaker();
  expect([breaker.failed(0, 3), breaker.failed(0, 3)]).toEqual([false, false]);
  breaker.succeeded();
  expect([breaker.failed(0, 3), breaker.failed(0, 3), breaker.failed(0, 3)]).toEqual([false, false, true]);
  expect([breaker.closed, breaker.standing]).toEqual([false, 'ejected']);
});

test('lets a probe through after a second, one that may not be repeated later', () => {
  const breaker = opened();
  expect(breaker.isDue(999, true)).toBe(false);
  expect([breaker.isDue(1000, true), breaker.isDue(1000, false)]).toEqual([true, false]);
  expect(breaker.isDue(3000, false)).toBe(true);
  breaker.probe(1000);
  expect([breaker.standing, breaker.isDue(1001, true)]).toEqual(['probing', false]);
});

test('a probe that never ends does not keep the target out', () => {
  const breaker = opened();
  breaker.probe(1000);
  expect(breaker.isDue(2000, true)).toBe(true);
});

test('each probe that fails doubles the wait, up to ten seconds', () => {
  const breaker = opened();
  let now = 1000;
  const waits = [];
  for (let i = 0; i < 6; i++) {
    breaker.probe(now);
    breaker.failed(now, 3);
    waits.push(breaker.waitsFor(now));
    now += breaker.waitsFor(now);
  }
  expect(waits).toEqual([2000, 4000, 8000, 10_000, 10_000, 10_000]);
});

test('what fails from before it opened does not lengthen the wait', () => {
  const breaker = opened();
  breaker.failed(500, 3);
  expect(breaker.waitsFor(500)).toBe(500);
});

test('a success closes it, and says so once', () => {
  const breaker = opened();
  breaker.probe(1000);
  expect([breaker.succeeded(), breaker.succeeded()]).toEqual([true, false]);
  expect(breaker.standing).toBe('up');
});

test('can be told that the target is back', () => {
  const breaker = opened();
  breaker.hasten(10);
  expect([breaker.closed, breaker.isDue(10, true)]).toEqual([false, true]);
});
