import fc from 'fast-check';
import { expect, test } from 'vitest';
import { headerSafe, Identity } from '../../../src/platform/identity.ts';

test('no value from a token can break a header', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      expect(headerSafe(value)).toMatch(/^[\x20-\x7e\xa0-\xff]*$/);
    }),
  );
  expect(headerSafe('a\r\nX-Evil: 1')).toBe('a%0D%0AX-Evil: 1');
});

test('a permission cannot pass for two', () => {
  const identity = Identity.establish(
    {
      userId: '1',
      clientId: null,
      email: null,
      roles: [],
      permissions: ['a,b', 'c'],
      organizationId: null,
      tokenType: 'user',
      jti: null,
      expiresAt: 0,
    },
    'token',
  );
  expect(identity.upstreamLines).toContain('\r\nX-Permissions: a%2Cb,c\r\n');
});
