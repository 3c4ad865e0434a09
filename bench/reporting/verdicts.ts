import { type CaseResult, casesOf, type Results } from '../harness/results.ts';
import { type Estimate, pairedRatio } from '../harness/statistics.ts';
import { type Target, targets } from '../scenarios/targets.ts';
import { generatorIsLimit } from './table.ts';

/** A goal and how the run did. */
export interface Verdict {
  readonly title: string;
  readonly ratio: Estimate;
  readonly goal: number;
  /** Whether less is better. */
  readonly atMost: boolean;
  readonly met: boolean;
  readonly note: string;
}

/** Judges the goals whose cases were measured. */
export function verdicts(results: Results): Verdict[] {
  const cases = casesOf(results);
  return targets.flatMap((target) => {
    const of = cases.get(target.of);
    const to = cases.get(target.to);
    if (of === undefined || to === undefined) return [];
    return [judge(target, of, to, results.machine.cores)];
  });
}

function judge(target: Target, of: CaseResult, to: CaseResult, cores: number): Verdict {
  const atMost = target.figure !== 'rate';
  const ratio = ratioOf(target, of, to);
  const met = atMost ? ratio.median <= target.goal : ratio.median >= target.goal;
  return { title: target.title, ratio, goal: target.goal, atMost, met, note: noteOn(target, of, to, cores) };
}

function ratioOf({ figure }: Target, of: CaseResult, to: CaseResult): Estimate {
  switch (figure) {
    case 'rate':
      return pairedRatio(
        of.samples.map((one) => one.rate),
        to.samples.map((one) => one.rate),
      );
    case 'cpu':
      return pairedRatio(
        of.samples.map((one) => one.cpu),
        to.samples.map((one) => one.cpu),
      );
    case 'tail':
      return pairedRatio(
        of.samples.map((one) => one.latency.p99),
        to.samples.map((one) => one.latency.p50),
      );
  }
}

function noteOn({ figure, of: id }: Target, of: CaseResult, to: CaseResult, cores: number): string {
  if (figure !== 'rate') return '';
  if (id === 'two-workers')
    return cores < 4 ? `not to be had on ${cores} cores: load and upstream need theirs` : '';
  if (!generatorIsLimit(of.samples) && !generatorIsLimit(to.samples)) return '';
  const byCpu = pairedRatio(
    to.samples.map((one) => one.cpu),
    of.samples.map((one) => one.cpu),
  );
  return `the load generator was the limit; by CPU time ${byCpu.median.toFixed(2)}`;
}
