import { styleText } from 'node:util';
import type { CaseResult, Results, ScenarioResult } from '../harness/results.ts';
import { estimate, median } from '../harness/statistics.ts';
import { type Verdict, verdicts } from './verdicts.ts';

/** The run as text for a terminal. */
export function renderTables(results: Results): string {
  const parts = results.scenarios.map(scenarioTable);
  const judged = verdicts(results);
  if (judged.length > 0) parts.push(verdictTable(judged));
  for (const { title, why } of results.absent) parts.push(`not measured: ${title} (${why})`);
  return parts.join('\n\n');
}

function scenarioTable({ title, note, cases }: ScenarioResult): string {
  const head = ['', 'per second', '±', 'CPU µs', '±', 'p50 ms', 'p90', 'p99', 'p99.9', 'RSS MB', ''];
  return `${styleText('bold', title)}\n${note}\n${aligned([head, ...cases.map(caseRow)])}`;
}

/** One case as cells: the middle of its rounds, and the error of that middle. */
export function caseRow({ title, samples }: CaseResult): string[] {
  const rate = estimate(samples.map((one) => one.rate));
  const cpu = estimate(samples.map((one) => one.cpu));
  const latency = (key: 'p50' | 'p90' | 'p99' | 'p999') =>
    median(samples.map((one) => one.latency[key])).toFixed(2);
  const errors = samples.reduce((sum, one) => sum + one.errors, 0);
  return [
    title,
    grouped(rate.median),
    percent(rate.error / rate.median),
    cpu.median.toFixed(1),
    percent(cpu.error / cpu.median),
    latency('p50'),
    latency('p90'),
    latency('p99'),
    latency('p999'),
    (median(samples.map((one) => one.rss)) / 1e6).toFixed(0),
    [
      disturbance(samples),
      generatorIsLimit(samples) ? 'load generator is the limit' : '',
      errors > 0 ? `${errors} errors` : '',
    ]
      .filter((text) => text !== '')
      .join(', '),
  ];
}

/** Says so where other programs took much of the machine. */
function disturbance(samples: CaseResult['samples']): string {
  const cores = median(samples.map((one) => one.foreignLoad));
  return cores > 0.2 ? `disturbed: others took ${cores.toFixed(1)} cores` : '';
}

/** Whether the server could have done more than was asked of it. */
export function generatorIsLimit(samples: CaseResult['samples']): boolean {
  return (
    median(samples.map((one) => one.serverLoad)) < 0.85 &&
    median(samples.map((one) => one.generatorLoad)) > 0.6
  );
}

function verdictTable(list: readonly Verdict[]): string {
  const rows = list.map(({ title, ratio, goal, atMost, met, note }) => [
    met ? 'met' : 'missed',
    title,
    ratio.median.toFixed(2),
    Number.isNaN(ratio.error) ? '' : `±${ratio.error.toFixed(2)}`,
    `${atMost ? '≤' : '≥'} ${goal}`,
    note,
  ]);
  return `${styleText('bold', 'Goals')}\n${aligned([['', '', 'ratio', '', 'goal', ''], ...rows])}`;
}

function grouped(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function percent(share: number): string {
  return Number.isNaN(share) ? '' : `${(share * 100).toFixed(1)}%`;
}

/** Rows as aligned columns: the first two to the left where they hold words, figures to the right. */
export function aligned(rows: readonly (readonly string[])[]): string {
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, i) =>
    Math.max(...rows.map((row) => row[i]?.length ?? 0)),
  );
  const isText = (i: number) => rows.slice(1).some((row) => /[a-z]{3}/i.test(row[i] ?? ''));
  return rows
    .map((row) =>
      row
        .map((cell, i) => (isText(i) ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
