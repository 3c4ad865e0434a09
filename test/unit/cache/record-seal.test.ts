import { expect, test } from 'vitest';
import { RecordSeal } from '../../../src/cache/record-seal.ts';

const seal = new RecordSeal('secret');

test('a sealed record opens under its own key only, unchanged only, with the same secret only', () => {
  const sealed = seal.close('key', 'content');
  expect(seal.open('key', sealed)).toBe('content');
  expect(seal.open('other', sealed)).toBeNull();
  expect(seal.open('key', `${sealed}x`)).toBeNull();
  expect(seal.open('key', 'content')).toBeNull();
  expect(seal.open('key', '')).toBeNull();
  expect(new RecordSeal('another').open('key', sealed)).toBeNull();
});
