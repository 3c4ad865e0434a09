import { describe, expect, it } from 'vitest';
import { estimate, median, pairedRatio } from '../../../bench/harness/statistics.ts';

describe('statistics of the bench', () => {
  it('takes the middle, and the mean of the two middle ones', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([])).toBeNaN();
    expect(median([Number.NaN, 5])).toBe(5);
  });

  it('gives an error that one wild round does not blow up', () => {
    const calm = estimate([100, 101, 99, 100, 102, 98]);
    const wild = estimate([100, 101, 99, 100, 102, 1000]);
    expect(calm.error).toBeGreaterThan(0);
    expect(wild.error).toBeLessThan(calm.error * 3);
    expect(wild.median).toBeCloseTo(calm.median, -1);
  });

  it('cancels what disturbs both sides of a round alike', () => {
    const drift = [1, 1.5, 0.7, 1.2, 2];
    const ratio = pairedRatio(
      drift.map((factor) => 300 * factor),
      drift.map((factor) => 200 * factor),
    );
    expect(ratio.median).toBeCloseTo(1.5);
    expect(ratio.error).toBeCloseTo(0);
  });
});
