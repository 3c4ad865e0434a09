import { quietMoment } from '../harness/machine-load.ts';
import { specOf } from '../harness/run-scenario.ts';
import type { ServerProcess } from '../harness/server-process.ts';
import { gateway, type Subject, subjects } from '../harness/subjects.ts';
import { Surroundings } from '../harness/surroundings.ts';
import type { LoadResult } from '../load/spec.ts';
import type { Case } from '../scenarios/scenario.ts';
import { type CaseName, type Check, cases, checks } from './checks.ts';
import { type Judgement, judge, type RoundRatio, TOLERANCE } from './judge.ts';

/** A slowdown the gate must see: so much more CPU time for each request. */
const PLANTED = 0.15;

const HOOK = new URL('slowdown.ts', import.meta.url).href;

const FIRST_WARM_UP = 2_500;
const WARM_UP = 150;
const DURATION = 450;
const PATIENCE = 500;

export interface GateOptions {
  /** The largest ratio allowed, by check; one without a limit is measured and never decided. */
  readonly limits: Readonly<Record<string, number>>;
  /** Whether a gateway with a planted slowdown takes part, which must be found out. */
  readonly prove: boolean;
  readonly maxRounds: number;
  /** Milliseconds after which no round begins any more. */
  readonly budget: number;
  progress(text: string): void;
}

interface CheckResult {
  readonly check: Check;
  readonly judgement: Judgement;
}

export interface GateResult {
  readonly checks: readonly CheckResult[];
  /** How the gateway with the planted slowdown was judged; null: it took no part. */
  readonly planted: Judgement | null;
  readonly rounds: number;
}

/** Measures round by round until every check is decided, or rounds or time are used up. */
export async function runGate(options: GateOptions): Promise<GateResult> {
  const startedAt = performance.now();
  const around = await Surroundings.start();
  const servers = new Map<Subject, ServerProcess>();
  const run = async (one: Case, subject: Subject, warmUp: number, duration: number) =>
    around.generator.run(specOf(one.shape, servers.get(subject), around, { warmUp, duration }));
  const samples = new Map<CaseName, LoadResult[]>();
  const slow: LoadResult[] = [];
  let planted: Subject | null = null;
  try {
    const names = Object.keys(cases) as CaseName[]; // the object's own keys
    for (const name of names) {
      const subject = subjects[cases[name].subject];
      options.progress(`warming up ${cases[name].title}`);
      if (!servers.has(subject)) servers.set(subject, await subject.start(around));
      const first = await run(cases[name], subject, FIRST_WARM_UP, DURATION);
      samples.set(name, []);
      if (name === 'warm' && options.prove) {
        planted = slowed(first.cpu * PLANTED);
        servers.set(planted, await planted.start(around));
        await run(cases.warm, planted, FIRST_WARM_UP, DURATION);
      }
    }
    let rounds = 0;
    for (;;) {
      for (const name of rounds % 2 === 0 ? names : names.toReversed()) {
        options.progress(`round ${rounds + 1}: ${cases[name].title}`);
        await quietMoment(PATIENCE);
        samples.get(name)?.push(await run(cases[name], subjects[cases[name].subject], WARM_UP, DURATION));
        if (name === 'warm' && planted !== null) slow.push(await run(cases.warm, planted, WARM_UP, DURATION));
      }
      rounds++;
      const result = judgeAll(options.limits, samples, planted === null ? null : slow);
      const open = [
        ...result.checks.map(({ judgement }) => judgement),
        ...(result.planted ? [result.planted] : []),
      ];
      const decided = open.every(({ decision }) => decision !== 'undecided');
      const over = rounds >= options.maxRounds || performance.now() - startedAt > options.budget;
      if (decided || over) return { ...result, rounds };
    }
  } finally {
    await Promise.all([...servers.values()].map((server) => server.stop()));
    await around.stop();
  }
}

function judgeAll(
  limits: Readonly<Record<string, number>>,
  samples: ReadonlyMap<CaseName, readonly LoadResult[]>,
  slow: readonly LoadResult[] | null,
): Omit<GateResult, 'rounds'> {
  const rounds = (check: Check, of: readonly LoadResult[]): RoundRatio[] => {
    const to = samples.get(check.to) ?? [];
    return of.flatMap((one, round) => {
      const other = to[round];
      if (other === undefined) return [];
      return [{ ratio: check.ratio(one, other), foreignLoad: Math.max(one.foreignLoad, other.foreignLoad) }];
    });
  };
  const limitOf = (check: Check) => limits[check.id] ?? Number.NaN;
  const innocent = samples.get('warm') ?? [];
  // Against the gateway itself: whether the method sees a slowdown must not depend on the record.
  const slowness = slow?.flatMap((one, round) => {
    const other = innocent[round];
    if (other === undefined) return [];
    return [{ ratio: one.cpu / other.cpu, foreignLoad: Math.max(one.foreignLoad, other.foreignLoad) }];
  });
  return {
    checks: checks.map((check) => ({
      check,
      judgement: judge(rounds(check, samples.get(check.of) ?? []), limitOf(check)),
    })),
    planted: slowness === undefined ? null : judge(slowness, 1 + TOLERANCE),
  };
}

/** The same gateway with `microseconds` more for each request. */
function slowed(microseconds: number): Subject {
  return gateway('gateway, slowed down', {
    NODE_OPTIONS: `--import ${HOOK}`,
    SLOWDOWN: microseconds.toFixed(2),
  });
}
