import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { describeMachine } from '../harness/machine.ts';
import type { Machine } from '../harness/results.ts';
import { Progress } from '../reporting/progress.ts';
import { aligned } from '../reporting/table.ts';
import { checksBefore } from './checks.ts';
import { type Judgement, PEER_TOLERANCE, TOLERANCE } from './judge.ts';
import { currentRevision } from './revision.ts';
import { type GateResult, runGate } from './run-gate.ts';

const HELP = `Fails when the gateway got slower, judged by ratios within one run: to the gateway as it was when it was recorded,
and to a bare proxy.

  npm run bench:gate                 compares with bench/gate/recorded.json
  npm run bench:gate -- --prove      and shows that a slowdown of 15 % would be seen
  npm run bench:gate -- --record     writes what it measures as the new record: on a quiet machine, and with a reason

Exit code 1: slower, or (with --prove) blind, in two starts of everything. A machine too busy to tell passes, and says so.
`;

const RECORD = new URL('recorded.json', import.meta.url).pathname;

/** Rounds of a record: its error goes into every later verdict. */
const RECORD_ROUNDS = 20;
const MAX_ROUNDS = 24;
const BUDGET = 155_000;

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h' },
    prove: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
  },
});

interface Recorded {
  readonly machine: Machine;
  /** The commit that was measured; null: made outside a repository. */
  readonly revision: string | null;
  readonly ratios: Readonly<Record<string, number>>;
}

/** Machines of one kind have the same ratios. */
function kindOf({ cpu, cores, node, pinned }: Machine): string {
  return `${cpu}, ${cores} cores, Node ${node.split('.', 1)[0]}${pinned ? '' : ', not pinned'}`;
}

async function main(): Promise<void> {
  const progress = new Progress();
  const record = JSON.parse(readFileSync(RECORD, 'utf8')) as Recorded; // written below
  const familiar = kindOf(record.machine) === kindOf(describeMachine());
  const limits = Object.fromEntries([
    ...Object.entries(record.ratios).map(([id, ratio]) => [id, ratio * (1 + PEER_TOLERANCE)]),
    ...checksBefore.map(({ id }) => [id, 1 + TOLERANCE]),
  ]);
  const measure = async () => {
    const result = await runGate({
      // Without a limit nothing is decided, so that all rounds are run.
      limits: values.record ? {} : limits,
      revision: values.record ? null : record.revision,
      prove: values.prove,
      maxRounds: values.record ? RECORD_ROUNDS : MAX_ROUNDS,
      budget: BUDGET,
      progress: (text) => progress.show(text),
    });
    progress.done();
    console.log(render(result));
    return result;
  };
  const result = await measure();
  if (values.record) {
    const measured = result.checks.map(({ check, judgement }) => [
      check.id,
      Number(judgement.ratio.median.toFixed(3)),
    ]);
    const fresh: Recorded = {
      machine: describeMachine(),
      revision: currentRevision(),
      ratios: Object.fromEntries(measured),
    };
    writeFileSync(RECORD, `${JSON.stringify(fresh, null, 2)}\n`);
    console.log(`recorded in ${RECORD}`);
    return;
  }
  if (!result.before)
    console.log('the recorded commit is not here (a shallow clone?): only the wide limits of the peers hold');
  if (!familiar) console.log(`recorded on another kind of machine: ${kindOf(record.machine)}`);
  const faults = faultsOf(result);
  if (faults.length === 0) return;
  console.log(`${faults.join('\n')}\nstarting everything anew: it may be the luck of this start`);
  const again = faultsOf(await measure());
  console.log(again.length > 0 ? `again:\n${again.join('\n')}` : 'not again: it was');
  if (again.length > 0) process.exitCode = 1;
}

/**
 * What speaks against the change. Two starts of the same program may be a fifth apart for as long as they live, so that
 * it counts only when other starts say so too, of whichever load.
 */
function faultsOf({ checks, planted }: GateResult): string[] {
  const slower = checks.filter(({ judgement }) => judgement.decision === 'slower');
  const faults = slower.map(({ check }) => `slower than recorded: ${check.title}`);
  if (planted?.decision === 'pass')
    faults.push('the planted slowdown of 15 % was not seen: the gate is blind');
  return faults;
}

const VERDICTS = { pass: 'pass', slower: 'slower', undecided: 'too noisy to tell' };

function hasLimit({ limit }: Judgement): boolean {
  return !Number.isNaN(limit);
}

function render({ checks, planted, rounds }: GateResult): string {
  const row = (title: string, judgement: Judgement) => [
    hasLimit(judgement) ? VERDICTS[judgement.decision] : '',
    title,
    judgement.ratio.median.toFixed(3),
    `±${judgement.ratio.error.toFixed(3)}`,
    hasLimit(judgement) ? `limit ${judgement.limit.toFixed(3)}` : '',
    `${judgement.quietRounds} of ${rounds} rounds quiet`,
  ];
  const rows = checks.map(({ check, judgement }) => row(check.title, judgement));
  if (planted !== null)
    rows.push(row('CPU per request with 15 % planted ÷ without: must be slower', planted));
  return aligned([['', '', 'ratio', '', '', ''], ...rows]);
}

if (values.help) console.log(HELP);
else await main();
