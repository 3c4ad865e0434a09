import { describe, expect, it } from 'vitest';
import { randomHex } from '../../../src/pipeline/random-hex.ts';

describe('random hexadecimal digits', () => {
  it('never come twice, across many draws', () => {
    const seen = new Set(Array.from({ length: 20_000 }, () => randomHex(16)));
    expect(seen.size).toBe(20_000);
    for (const digits of seen) expect(digits).toMatch(/^[0-9a-f]{16}$/);
  });

  it('are as many as asked for when lengths are mixed', () => {
    for (let i = 0; i < 5_000; i++) expect(randomHex(1 + (i % 32))).toHaveLength(1 + (i % 32));
  });
});
