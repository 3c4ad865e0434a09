/** A figure measured several times: its middle and how far the middle may be off. */
export interface Estimate {
  readonly median: number;
  /** Standard error of the median, in the figure's own unit; NaN for fewer than two values. */
  readonly error: number;
}

export function median(values: readonly number[]): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  const middle = sorted.length / 2;
  if (sorted.length === 0) return Number.NaN;
  return ((sorted[Math.ceil(middle) - 1] ?? 0) + (sorted[Math.floor(middle)] ?? 0)) / 2;
}

/** A median's error by the median absolute deviation: one round that the machine disturbed does not count for more. */
export function estimate(values: readonly number[]): Estimate {
  const middle = median(values);
  if (values.length < 2) return { median: middle, error: Number.NaN };
  // 1.4826 turns the deviation into a standard deviation, 1.2533 that of the mean into that of the median.
  const deviation = 1.4826 * median(values.map((value) => Math.abs(value - middle)));
  return { median: middle, error: (1.2533 * deviation) / Math.sqrt(values.length) };
}

/** The ratio of two figures round by round: what disturbs a whole round cancels out. */
export function pairedRatio(of: readonly number[], to: readonly number[]): Estimate {
  return estimate(of.slice(0, to.length).map((value, round) => value / (to[round] ?? Number.NaN)));
}
