import { expect, test } from 'vitest';
import { ConnectionLimit } from '../../../src/cluster/connection-limit.ts';

test('places are taken and given back, each address its own', () => {
  const limit = new ConnectionLimit(2);
  const first = limit.take('192.0.2.1');
  expect(first).not.toBeNull();
  expect(limit.take('192.0.2.1')).not.toBeNull();
  expect(limit.take('192.0.2.1')).toBeNull();
  expect(limit.take('192.0.2.2')).not.toBeNull();
  first?.();
  expect(limit.take('192.0.2.1')).not.toBeNull();
});

test.each([
  ['2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff', true],
  ['2001:db8::1', '2001:db8::ffff', true],
  ['::1', '::2', true],
  ['2001:db8:0:1::', '2001:db8:0:1::2', true],
  ['2001:db8:0:1::1', '2001:db8:0:2::1', false],
  ['2001:db8::1', '2001:db8:1::1', false],
])('%s and %s are one IPv6 network: %s', (one, other, same) => {
  const limit = new ConnectionLimit(1);
  limit.take(one);
  expect(limit.take(other) === null).toBe(same);
});
