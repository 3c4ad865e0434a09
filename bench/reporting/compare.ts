import { styleText } from 'node:util';
import { type CaseResult, casesOf, type Results } from '../harness/results.ts';
import { estimate } from '../harness/statistics.ts';
import { aligned } from './table.ts';

/** A smaller change is not worth a word, whatever its error. */
const LEAST = 0.02;

/** A change of one figure of one case, as a share of the old value. */
interface Change {
  readonly id: string;
  readonly title: string;
  readonly figure: 'per second' | 'CPU µs';
  readonly change: number;
  /** Standard error of the change, both runs' spread and both references' included. */
  readonly error: number;
  /** Whether it is more than three times its error: chance gives that in one of 400 cases. */
  readonly real: boolean;
}

/**
 * What changed between two runs. Machines drift, so where both runs measured the bare proxy every figure is first
 * divided by that run's bare proxy.
 */
export function changesBetween(old: Results, now: Results): Change[] {
  const before = casesOf(old);
  const after = casesOf(now);
  return [...after.values()].flatMap((one) => {
    const other = before.get(one.id);
    if (other === undefined) return [];
    return (['per second', 'CPU µs'] as const).map((figure) => {
      const of = relative(one, after, figure);
      const to = relative(other, before, figure);
      const change = of.value / to.value - 1;
      const error = Math.hypot(of.error, to.error);
      const real = Math.abs(change) > Math.max(LEAST, 3 * error);
      return { id: one.id, title: one.title, figure, change, error, real };
    });
  });
}

/** A figure divided by the bare proxy's, with its error as a share of it. */
function relative(
  one: CaseResult,
  cases: ReadonlyMap<string, CaseResult>,
  figure: Change['figure'],
): { value: number; error: number } {
  const key = figure === 'per second' ? 'rate' : 'cpu';
  const own = estimate(one.samples.map((sample) => sample[key]));
  const bare = cases.get('bare');
  const ownError = own.error / own.median;
  if (bare === undefined || one.id === 'bare') return { value: own.median, error: ownError };
  const reference = estimate(bare.samples.map((sample) => sample[key]));
  return {
    value: own.median / reference.median,
    error: Math.hypot(ownError, reference.error / reference.median),
  };
}

/** The changes as text for a terminal. */
export function renderComparison(old: Results, now: Results): string {
  const rows = changesBetween(old, now).map(({ title, figure, change, error, real }) => [
    title,
    figure,
    `${change >= 0 ? '+' : ''}${(change * 100).toFixed(1)}%`,
    `±${(error * 100).toFixed(1)}%`,
    real ? 'real' : 'within the spread',
  ]);
  const normal = casesOf(old).has('bare') && casesOf(now).has('bare');
  const how = normal
    ? 'relative to the bare proxy of each run'
    : 'as measured: one of the runs has no bare proxy';
  return `${styleText('bold', `Changes since ${old.date}`)} (${how})\n${aligned([['', '', 'change', '', ''], ...rows])}`;
}
