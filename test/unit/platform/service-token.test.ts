import { decodeJwt } from 'jose';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ServiceTokens } from '../../../src/platform/service-token.ts';
import { until } from '../../setup/until.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'setInterval', 'clearInterval'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test('a token is minted once per service and renewed before it ends', async () => {
  const tokens = await ServiceTokens.start('s'.repeat(32), ['tes', 'rag']);
  const tokenFor = (service: string) => /X-Service-Token: (\S+)$/.exec(tokens.linesFor(service))?.[1] ?? '';
  const first = tokenFor('tes');
  expect(first).not.toBe('');
  expect(first).not.toBe(tokenFor('rag'));
  const seen = new Set<string>();
  for (let minute = 0; minute < 60; minute++) {
    await vi.advanceTimersByTimeAsync(60_000);
    // Signing takes a moment of real time; whoever gets the token then must still be able to use it.
    await until(() => (decodeJwt(tokenFor('tes')).exp ?? 0) - Date.now() / 1000 > 10);
    seen.add(tokenFor('tes'));
  }
  expect(seen.size).toBeGreaterThan(10);
  expect(seen.size).toBeLessThanOrEqual(16);
  expect(tokens.linesFor('unknown')).toBe('');
  tokens.close();
});
