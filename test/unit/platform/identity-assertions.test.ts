import { generateKeyPairSync } from 'node:crypto';
import { decodeJwt } from 'jose';
import { expect, test } from 'vitest';
import { Identity } from '../../../src/platform/identity.ts';
import { IdentityAssertions } from '../../../src/platform/identity-assertions.ts';

const NOW = 1_800_000_000_000;

const assertions = await IdentityAssertions.open([generateKeyPairSync('ed25519').privateKey]);

function identity(minutes: number, userId = '1'): Identity {
  return Identity.establish(
    {
      userId,
      clientId: null,
      email: null,
      roles: [],
      permissions: [],
      organizationId: null,
      tokenType: 'user',
      jti: null,
      expiresAt: NOW + minutes * 60_000,
    },
    'token',
  );
}

test('one is made per identity and service, and made anew before it ends', () => {
  const one = identity(15);
  const first = assertions.for(one, 'tes', 'a', NOW);
  expect(assertions.for(one, 'tes', 'b', NOW + 239_000)).toBe(first);
  expect(assertions.for(one, 'rag', 'a', NOW)).not.toBe(first);
  expect(assertions.for(identity(15, '2'), 'tes', 'a', NOW)).not.toBe(first);
  // The same identity, asked about again: another object, the same statement.
  expect(assertions.for(identity(15), 'tes', 'a', NOW)).toBe(first);
  const second = assertions.for(one, 'tes', 'c', NOW + 240_000);
  expect(second).not.toBe(first);
  expect(decodeJwt(first)).toMatchObject({ exp: NOW / 1000 + 300, trace_id: 'a', aud: 'tes' });
  expect(decodeJwt(second)).toMatchObject({ exp: NOW / 1000 + 540, trace_id: 'c' });
});

test('none outlives its token, and none is made again and again where that is near', () => {
  const short = identity(1);
  const made = assertions.for(short, 'tes', 'a', NOW);
  expect(decodeJwt(made).exp).toBe(NOW / 1000 + 60);
  expect(assertions.for(short, 'tes', 'a', NOW + 59_000)).toBe(made);
  // Within the leeway the token is still taken, so its assertion must be good for a moment.
  const late = assertions.for(short, 'tes', 'a', NOW + 62_000);
  expect(decodeJwt(late).exp).toBe(NOW / 1000 + 67);
});
