import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { measureFootprint } from './footprint/footprint.ts';
import { describeMachine } from './harness/machine.ts';
import type { Results, ScenarioResult } from './harness/results.ts';
import { type Pace, runScenario } from './harness/run-scenario.ts';
import { Surroundings } from './harness/surroundings.ts';
import { renderComparison } from './reporting/compare.ts';
import { renderPage } from './reporting/page.ts';
import { Progress } from './reporting/progress.ts';
import { renderTables } from './reporting/table.ts';
import { scenarios } from './scenarios/scenarios.ts';

const HELP = `Measures the gateway beside what a user would pick instead.

  npm run bench                              everything, about 20 minutes
  npm run bench -- --quick                   fewer rounds, no long cases, under 3 minutes
  npm run bench -- --only warm,verify        these scenarios (${scenarios.map(({ id }) => id).join(', ')}, footprint)
  npm run bench -- --compare old.json        says what changed against an earlier results.json, and what is real
  npm run bench -- --soak 10                 the footprint with so many minutes of mixed load (1)
  npm run bench -- --out folder              where index.html and results.json go (bench/report)

It wants redis-server; taskset, nginx and haproxy are used where they are. Run it on a machine with nothing else to do.
`;

const FULL: Pace = {
  starts: 2,
  rounds: 4,
  firstWarmUp: 4_000,
  warmUp: 300,
  duration: 1_200,
  patience: 1_000,
};
const QUICK: Pace = { starts: 1, rounds: 3, firstWarmUp: 700, warmUp: 150, duration: 320, patience: 200 };

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    compare: { type: 'string' },
    soak: { type: 'string', default: '1' },
    out: { type: 'string', default: new URL('report', import.meta.url).pathname },
  },
});

async function main(): Promise<void> {
  const wanted = values.only?.split(',');
  // Read first: nobody should wait for minutes to learn of a misspelt name.
  const old =
    values.compare === undefined ? null : (JSON.parse(readFileSync(values.compare, 'utf8')) as Results);
  const unknown = wanted?.filter((id) => id !== 'footprint' && !scenarios.some((one) => one.id === id)) ?? [];
  if (unknown.length > 0) throw new Error(`unknown scenario: ${unknown.join(', ')}`);

  const progress = new Progress();
  const absent = new Map<string, string>();
  const observer = {
    progress: (text: string) => progress.show(text),
    absent: (title: string, why: string) => absent.set(title, why),
  };
  const measured: ScenarioResult[] = [];
  const around = await Surroundings.start();
  let footprint: Results['footprint'] = null;
  try {
    for (const scenario of scenarios) {
      if (wanted !== undefined && !wanted.includes(scenario.id)) continue;
      const cases = scenario.cases.filter((one) => !values.quick || one.fullOnly !== true);
      measured.push(
        await runScenario({ ...scenario, cases }, around, values.quick ? QUICK : FULL, {
          ...observer,
          progress: (text) => progress.show(`${scenario.id}: ${text}`),
        }),
      );
    }
    if (wanted === undefined ? !values.quick : wanted.includes('footprint')) {
      footprint = await measureFootprint(around, Number(values.soak), observer);
    }
  } finally {
    progress.done();
    await around.stop();
  }
  const results: Results = {
    format: 1,
    date: new Date().toISOString(),
    quick: values.quick,
    machine: describeMachine(),
    scenarios: measured,
    absent: [...absent].map(([title, why]) => ({ title, why })),
    footprint,
  };
  mkdirSync(values.out, { recursive: true });
  writeFileSync(join(values.out, 'results.json'), `${JSON.stringify(results, null, 1)}\n`);
  writeFileSync(join(values.out, 'index.html'), renderPage(results));
  console.log(renderTables(results));
  if (old !== null) console.log(`\n${renderComparison(old, results)}`);
  console.log(`\n${join(values.out, 'index.html')}`);
}

if (values.help) console.log(HELP);
else await main();
