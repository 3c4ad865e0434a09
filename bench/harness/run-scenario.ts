import type { LoadResult, LoadSpec } from '../load/spec.ts';
import { type Case, type Scenario, type Shape, users } from '../scenarios/scenario.ts';
import { quietMoment } from './machine-load.ts';
import type { ScenarioResult } from './results.ts';
import type { ServerProcess } from './server-process.ts';
import { Absent, type SubjectName, subjects } from './subjects.ts';
import type { Surroundings } from './surroundings.ts';

/** How long and how often. Milliseconds. */
export interface Pace {
  /** Rounds for each start of the servers. */
  readonly rounds: number;
  /** Starts of the servers at most; a scenario says how many it wants. */
  readonly starts: number;
  /** Before the first round: a new kind of load costs half as much again until it is compiled. */
  readonly firstWarmUp: number;
  /** Before each measurement. */
  readonly warmUp: number;
  readonly duration: number;
  /** How long to wait for a moment at which the machine does nothing else, before each measurement. */
  readonly patience: number;
}

/** Told of what goes on. */
export interface Observer {
  progress(text: string): void;
  absent(title: string, why: string): void;
}

/** Measures all cases of a scenario, on servers started anew as often as it wants. */
export async function runScenario(
  scenario: Scenario,
  around: Surroundings,
  pace: Pace,
  observer: Observer,
): Promise<ScenarioResult> {
  const samples = new Map<Case, LoadResult[]>();
  for (let start = Math.min(scenario.starts ?? 1, pace.starts); start > 0; start--) {
    const servers = await startSubjects(scenario, around, observer);
    const cases = scenario.cases.filter(({ subject }) => servers.has(subject));
    try {
      for (const [one, list] of await measure(cases, servers, around, pace, observer)) {
        samples.set(one, [...(samples.get(one) ?? []), ...list]);
      }
    } finally {
      await Promise.all([...servers.values()].map((server) => server.stop()));
    }
  }
  const { id, title, note } = scenario;
  return {
    id,
    title,
    note,
    cases: [...samples].map(([one, list]) => ({ id: one.id, title: one.title, samples: list })),
  };
}

/** Measures running servers round by round, each round in the other direction than the one before. */
async function measure(
  cases: readonly Case[],
  servers: ReadonlyMap<SubjectName, ServerProcess>,
  around: Surroundings,
  pace: Pace,
  observer: Observer,
): Promise<Map<Case, LoadResult[]>> {
  const samples = new Map<Case, LoadResult[]>(cases.map((one) => [one, []]));
  const run = (one: Case, times: Pick<LoadSpec, 'warmUp' | 'duration'>) =>
    around.generator.run(specOf(one.shape, servers.get(one.subject), around, times));
  for (const one of cases) {
    observer.progress(`warming up ${one.title}`);
    if (one.fill !== undefined) {
      const fill = {
        ...one.shape,
        kind: 'fill',
        paths: ['/auth/verify'],
        tokens: users(one.fill),
      } as const;
      await run({ ...one, shape: fill }, { warmUp: 0, duration: 0 });
    }
    await run(one, { warmUp: pace.firstWarmUp, duration: 100 });
  }
  for (let round = 0; round < pace.rounds; round++) {
    for (const one of round % 2 === 0 ? cases : cases.toReversed()) {
      observer.progress(`round ${round + 1} of ${pace.rounds}: ${one.title}`);
      await quietMoment(pace.patience);
      samples.get(one)?.push(await run(one, { warmUp: pace.warmUp, duration: pace.duration }));
    }
  }
  return samples;
}

async function startSubjects(
  scenario: Scenario,
  around: Surroundings,
  observer: Observer,
): Promise<Map<SubjectName, ServerProcess>> {
  const servers = new Map<SubjectName, ServerProcess>();
  for (const name of new Set(scenario.cases.map((one) => one.subject))) {
    const { title, start } = subjects[name];
    observer.progress(`starting ${title}`);
    try {
      servers.set(name, await start(around));
    } catch (error) {
      if (!(error instanceof Absent)) {
        await Promise.all([...servers.values()].map((server) => server.stop()));
        throw error;
      }
      observer.absent(title, error.message);
    }
  }
  return servers;
}

/** Completes a shape with what depends on the run. */
export function specOf(
  shape: Shape,
  server: ServerProcess | undefined,
  around: Surroundings,
  times: Pick<LoadSpec, 'warmUp' | 'duration'>,
): LoadSpec {
  if (server === undefined) throw new Error('the server of this case was not started');
  const { secret, issuedAt } = around;
  return {
    ...shape,
    ...times,
    tokens: { ...shape.tokens, secret, issuedAt },
    port: server.port,
    watch: server.pid,
    ours: around.pids,
  };
}
