import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { treeOf, usageOf } from '../harness/process-tree.ts';
import type { Soak } from '../harness/results.ts';
import { type Observer, specOf } from '../harness/run-scenario.ts';
import { gateway } from '../harness/subjects.ts';
import type { Surroundings } from '../harness/surroundings.ts';
import type { Shape } from '../scenarios/scenario.ts';
import { scenarios } from '../scenarios/scenarios.ts';
import { heapByKind } from './heap-snapshot.ts';

/** Every kind of request that leaves something behind somewhere: caches, refusals, pools, streams, uploads. */
const MIX = [
  'mixed',
  'cold',
  'verify-fresh',
  'bad-token',
  'denied',
  'compute-post',
  'up-64k',
  'down-64k',
  'sse',
];

/** Each kind takes its turn for so long. Milliseconds. */
const TURN = 2_000;

/** Caches this small are full after the first part, so that what grows afterwards is a leak. */
const CACHE_MAX = '2000';

/** So often is resident memory noted. */
const NOTES = 10;

/** Mixed load for some minutes, with the heap compared before and after. */
export async function soak(
  around: Surroundings,
  minutes: number,
  observer: Pick<Observer, 'progress'>,
): Promise<Soak> {
  const folder = join(around.folder, 'snapshots');
  mkdirSync(folder);
  const server = await gateway('soak', {
    CACHE_MAX,
    NODE_OPTIONS: `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${folder}`,
  }).start(around);
  const worker = treeOf(server.pid)[1] ?? server.pid;
  const all = scenarios.flatMap(({ cases }) => cases);
  const shapes = MIX.map((id) => all.find((one) => one.id === id)?.shape).filter((one) => one !== undefined);
  let requests = 0;
  const load = async (until: number) => {
    for (let turn = 0; Date.now() < until; turn++) {
      const shape = shapes[turn % shapes.length] as Shape; // the remainder is within the list
      observer.progress(`soak: ${Math.max(0, Math.round((until - Date.now()) / 1000))} s left`);
      const { rate } = await around.generator.run(
        specOf(shape, server, around, { warmUp: 0, duration: TURN }),
      );
      requests += rate * (TURN / 1000);
    }
  };
  const snapshot = async () => {
    observer.progress('soak: heap snapshot');
    await new Promise((resolve) => setTimeout(resolve, 5_000)); // what is in flight ends
    process.kill(worker, 'SIGUSR2');
    const file = await newFileIn(folder);
    const heap = await heapByKind(file);
    rmSync(file);
    return heap;
  };
  try {
    await load(Date.now() + Math.max(20_000, shapes.length * TURN * 2));
    const before = await snapshot();
    requests = 0;
    // Taking a snapshot leaves memory behind, so that resident memory is compared within the load after it.
    const rss: number[] = [];
    for (let note = 1; note <= NOTES; note++) {
      await load(Date.now() + (minutes * 60_000) / NOTES);
      rss.push(usageOf(worker).rss);
    }
    const after = await snapshot();
    const growth = [...after]
      .map(([kind, bytes]) => ({ kind, bytes: bytes - (before.get(kind) ?? 0) }))
      .sort((a, b) => b.bytes - a.bytes)
      .slice(0, 5);
    return {
      minutes,
      requests: Math.round(requests),
      heapBefore: sum(before),
      heapAfter: sum(after),
      rss,
      growth,
    };
  } finally {
    await server.stop();
  }
}

function sum(heap: ReadonlyMap<string, number>): number {
  return [...heap.values()].reduce((total, bytes) => total + bytes, 0);
}

async function newFileIn(folder: string): Promise<string> {
  for (;;) {
    const [name] = readdirSync(folder).filter((one) => one.endsWith('.heapsnapshot'));
    if (name !== undefined) return join(folder, name);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
