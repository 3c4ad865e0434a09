import type { Footprint, Machine, Results, ScenarioResult } from '../harness/results.ts';
import { median } from '../harness/statistics.ts';
import { cpuChart, latencyChart, rateChart } from './charts.ts';
import { caseRow } from './table.ts';
import { type Verdict, verdicts } from './verdicts.ts';

const STYLE = `
:root { color-scheme: light dark; --back: #fff; --text: #1c2024; --dim: #667; --line: #d6dae0; --good: #1a7f4b; --bad: #b3401f }
@media (prefers-color-scheme: dark) {
  :root { --back: #14171a; --text: #e3e6e9; --dim: #98a0a8; --line: #333a41; --good: #5cc58f; --bad: #ef8a66 } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: var(--text); background: var(--back) }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.6rem }
p.note { color: var(--dim); margin-top: -.4rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child, td.text { text-align: left }
.good { color: var(--good) } .bad { color: var(--bad) }
svg { max-width: 100%; height: auto; display: block }
`;

/** One page with everything in it: nothing is loaded from anywhere. */
export function renderPage(results: Results): string {
  const judged = verdicts(results);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>OmniBioAI API gateway: bench</title>
<style>${STYLE}</style>
<h1>OmniBioAI API gateway: bench</h1>
<p>${escaped(machineLine(results.machine))}. ${results.date.slice(0, 10)}${results.quick ? ', a quick run' : ''}.
Medians of interleaved rounds; ± is the standard error of the median. CPU time is that of the whole process tree,
all threads, per answer.</p>
${results.absent.map(({ title, why }) => `<p class="note">Not measured: ${escaped(title)} (${escaped(why)}).</p>`).join('\n')}
${judged.length > 0 ? goals(judged) : ''}
${results.scenarios.map(section).join('\n')}
${results.footprint === null ? '' : footprintSection(results.footprint)}
</html>
`;
}

function machineLine({ cpu, cores, memoryGb, node, pinned }: Machine): string {
  const where = pinned
    ? 'server on one core of its own, load and upstream on the rest'
    : 'nothing pinned to cores';
  return `${cpu}, ${cores} cores, ${memoryGb} GB, Node.js ${node}; ${where}`;
}

function section({ title, note, cases }: ScenarioResult): string {
  const head = ['', 'per second', '±', 'CPU µs', '±', 'p50 ms', 'p90', 'p99', 'p99.9', 'RSS MB', ''];
  return `<h2>${escaped(title)}</h2>
<p class="note">${escaped(note)}</p>
<figure>${cpuChart(cases)}</figure>
<figure>${rateChart(cases)}</figure>
<figure>${latencyChart(cases)}</figure>
<div class="wide"><table>${row(head, 'th')}${cases.map((one) => row(caseRow(one), 'td')).join('')}</table></div>`;
}

function goals(judged: readonly Verdict[]): string {
  const rows = judged.map(
    ({ title, ratio, goal, atMost, met, note }) =>
      `<tr><td class="text">${escaped(title)}<td class="${met ? 'good' : 'bad'}">${ratio.median.toFixed(2)}` +
      `<td>${Number.isNaN(ratio.error) ? '' : `±${ratio.error.toFixed(2)}`}<td>${atMost ? '≤' : '≥'} ${goal}` +
      `<td class="text ${met ? 'good' : 'bad'}">${met ? 'met' : 'missed'}<td class="text">${escaped(note)}`,
  );
  return `<h2>Goals</h2><div class="wide"><table><tr><th>ratio in one run<th><th>±<th>goal<th><th>${rows.join('')}</table></div>`;
}

function footprintSection({
  firstStart,
  coldStart,
  workerIdle,
  treeIdle,
  per10kConnections,
  soak,
}: Footprint): string {
  const rows = [
    ['first start to the first 200, one worker', `${firstStart.toFixed(0)} ms`],
    ['later starts, with what the first one compiled', `${median(coldStart).toFixed(0)} ms`],
    ['one idle worker', megabytes(workerIdle)],
    ['primary and one worker, idle', megabytes(treeIdle)],
    ['10,000 idle connections more', megabytes(per10kConnections)],
    ...(soak === null
      ? []
      : [
          [`live heap before ${soak.minutes} minutes of mixed load`, megabytes(soak.heapBefore)],
          [`after (${soak.requests.toLocaleString('en-US')} requests)`, megabytes(soak.heapAfter)],
          ['RSS of the worker after each tenth', soak.rss.map(megabytes).join(', ')],
          ...soak.growth.map(({ kind, bytes }) => [`grown most: ${kind}`, `${(bytes / 1024).toFixed(0)} KB`]),
        ]),
  ];
  return `<h2>Memory and start</h2><table>${rows.map((cells) => row(cells, 'td')).join('')}</table>`;
}

function row(cells: readonly string[], tag: 'th' | 'td'): string {
  return `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}`).join('')}`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
