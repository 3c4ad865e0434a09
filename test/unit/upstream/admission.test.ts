import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Admission, type Applicant } from '../../../src/upstream/admission.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

let log: string[];

function applicant(name: string, then: () => void = () => {}): Applicant {
  return {
    admitted: () => {
      log.push(`${name} in`);
      then();
    },
    turnedAway: () => log.push(`${name} away`),
  };
}

beforeEach(() => {
  log = [];
});

test('whoever finds no place waits, in order', () => {
  const admission = new Admission(2);
  for (const name of ['a', 'b', 'c', 'd']) admission.apply(applicant(name));
  expect([admission.taken, admission.queued]).toEqual([2, 2]);
  admission.leave();
  admission.leave();
  expect(log).toEqual(['a in', 'b in', 'c in', 'd in']);
  expect([admission.taken, admission.queued]).toEqual([2, 0]);
});

test('the queue is as long as there are places', () => {
  const admission = new Admission(1);
  for (const name of ['a', 'b', 'c']) admission.apply(applicant(name));
  expect(log).toEqual(['a in', 'c away']);
});

test('nobody waits longer than a second', () => {
  const admission = new Admission(2);
  admission.apply(applicant('a'));
  admission.apply(applicant('b'));
  admission.apply(applicant('c'));
  vi.advanceTimersByTime(600);
  admission.apply(applicant('d'));
  vi.advanceTimersByTime(401);
  expect(log).toEqual(['a in', 'b in', 'c away']);
  vi.advanceTimersByTime(601);
  expect(log).toEqual(['a in', 'b in', 'c away', 'd away']);
});

test('who has gone away gets no place', () => {
  const admission = new Admission(1);
  const gone = applicant('gone');
  admission.apply(applicant('a'));
  admission.apply(gone);
  admission.forget(gone);
  admission.leave();
  expect([log, admission.taken]).toEqual([['a in'], 0]);
});

test('places given back at once serve a long queue without a deep stack', () => {
  const admission = new Admission(50_000);
  for (let i = 0; i < 50_000; i++) admission.apply(applicant('first'));
  for (let i = 0; i < 50_000; i++) admission.apply(applicant('next', () => admission.leave()));
  admission.leave();
  expect([admission.taken, admission.queued]).toEqual([49_999, 0]);
});
