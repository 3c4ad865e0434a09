import type { LoadResult, LoadSpec } from '../load/spec.ts';
import { type Case, type Scenario, type Shape, users } from '../scenarios/scenario.ts';
import { quietMoment } from './machine-load.ts';
import type { ScenarioResult } from './results.ts';
import type { ServerProcess } from './server-process.ts';
import { Absent, type SubjectName, subjects } from './subjects.ts';
import type { Surroundings } from './surroundings.ts';

/** How long and how often. Milliseconds. */
export interface Pace {
  readonly rounds: number;
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

/** Measures all cases of a scenario round by round, each round in the other direction than the one before. */
export async function runScenario(
  scenario: Scenario,
  around: Surroundings,
  pace: Pace,
  observer: Observer,
): Promise<ScenarioResult> {
  const servers = await startSubjects(scenario, around, observer);
  const samples = new Map<Case, LoadResult[]>();
  for (const one of scenario.cases) if (servers.has(one.subject)) samples.set(one, []);
  const cases = [...samples.keys()];
  const run = (one: Case, times: Pick<LoadSpec, 'warmUp' | 'duration'>) =>
    around.generator.run(specOf(one.shape, servers.get(one.subject), around, times));
  try {
    for (const one of cases) {
      observer.progress(`${scenario.id}: warming up ${one.title}`);
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
        observer.progress(`${scenario.id}: round ${round + 1} of ${pace.rounds}, ${one.title}`);
        await quietMoment(pace.patience);
        samples.get(one)?.push(await run(one, { warmUp: pace.warmUp, duration: pace.duration }));
      }
    }
  } finally {
    await Promise.all([...servers.values()].map((server) => server.stop()));
  }
  const { id, title, note } = scenario;
  return {
    id,
    title,
    note,
    cases: [...samples].map(([one, list]) => ({ id: one.id, title: one.title, samples: list })),
  };
}

async function startSubjects(
  scenario: Scenario,
  around: Surroundings,
  observer: Observer,
): Promise<Map<SubjectName, ServerProcess>> {
  const servers = new Map<SubjectName, ServerProcess>();
  for (const name of new Set(scenario.cases.map((one) => one.subject))) {
    const { title, start } = subjects[name];
    observer.progress(`${scenario.id}: starting ${title}`);
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
