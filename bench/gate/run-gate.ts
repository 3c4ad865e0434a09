import { join } from 'node:path';
import { quietMoment } from '../harness/machine-load.ts';
import { specOf } from '../harness/run-scenario.ts';
import type { ServerProcess } from '../harness/server-process.ts';
import { gateway, type Subject } from '../harness/subjects.ts';
import { Surroundings } from '../harness/surroundings.ts';
import type { LoadResult } from '../load/spec.ts';
import { type Check, cases, casesBefore, checks, checksBefore, type GateCase } from './checks.ts';
import { type Judgement, judge, type RoundRatio, TOLERANCE } from './judge.ts';
import { checkOut } from './revision.ts';

/** A slowdown the gate must see: so much more CPU time for each request. */
const PLANTED = 0.15;

const HOOK = new URL('slowdown.ts', import.meta.url).href;

/** Each server goes on being compiled for seconds under load; one that is behind another looks slower. */
const FIRST_WARM_UP = 6_000;
const WARM_UP = 150;
const DURATION = 450;
const PATIENCE = 500;

export interface GateOptions {
  /** The largest ratio allowed, by check; one without a limit is measured and never decided. */
  readonly limits: Readonly<Record<string, number>>;
  /** The commit that was recorded, to be measured beside the present gateway; null: none. */
  readonly revision: string | null;
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
  /** Whether the recorded gateway took part. */
  readonly before: boolean;
  readonly rounds: number;
}

/** Measures round by round until every check is decided, or rounds or time are used up. */
export async function runGate(options: GateOptions): Promise<GateResult> {
  const startedAt = performance.now();
  const around = await Surroundings.start();
  const servers = new Map<Subject, ServerProcess>();
  const run = async ({ shape }: GateCase, subject: Subject, warmUp: number, duration: number) =>
    around.generator.run(specOf(shape, servers.get(subject), around, { warmUp, duration }));
  const samples = new Map<string, LoadResult[]>();
  const slow: LoadResult[] = [];
  let planted: Subject | null = null;
  try {
    const before =
      options.revision === null ? null : checkOut(options.revision, join(around.folder, 'recorded'));
    const past = before === null ? {} : casesBefore(before);
    const judged = [...checks, ...(before === null ? [] : checksBefore)];
    // A load and the same load on the recorded gateway follow each other: what disturbs the one disturbs the other.
    const order = Object.entries(cases).flatMap(([name, one]) => {
      const other = past[name];
      return other === undefined
        ? [[name, one] as const]
        : [[name, one] as const, [`${name}-before`, other] as const];
    });
    for (const [name, one] of order) {
      options.progress(`warming up ${one.title}`);
      if (!servers.has(one.subject)) servers.set(one.subject, await one.subject.start(around));
      const first = await run(one, one.subject, FIRST_WARM_UP, DURATION);
      samples.set(name, []);
      if (name === 'warm' && options.prove) {
        planted = slowed(first.cpu * PLANTED);
        servers.set(planted, await planted.start(around));
        await run(one, planted, FIRST_WARM_UP, DURATION);
      }
    }
    let rounds = 0;
    for (;;) {
      for (const [name, one] of rounds % 2 === 0 ? order : order.toReversed()) {
        options.progress(`round ${rounds + 1}: ${one.title}`);
        await quietMoment(PATIENCE);
        samples.get(name)?.push(await run(one, one.subject, WARM_UP, DURATION));
        if (name === 'warm' && planted !== null) slow.push(await run(one, planted, WARM_UP, DURATION));
      }
      rounds++;
      const result = judgeAll(judged, options.limits, samples, planted === null ? null : slow);
      const open = [
        ...result.checks.map(({ judgement }) => judgement),
        ...(result.planted ? [result.planted] : []),
      ];
      const decided = open.every(({ decision }) => decision !== 'undecided');
      const over = rounds >= options.maxRounds || performance.now() - startedAt > options.budget;
      if (decided || over) return { ...result, before: before !== null, rounds };
    }
  } finally {
    await Promise.all([...servers.values()].map((server) => server.stop()));
    await around.stop();
  }
}

function judgeAll(
  judged: readonly Check[],
  limits: Readonly<Record<string, number>>,
  samples: ReadonlyMap<string, readonly LoadResult[]>,
  slow: readonly LoadResult[] | null,
): Pick<GateResult, 'checks' | 'planted'> {
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
    checks: judged.map((check) => ({
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
