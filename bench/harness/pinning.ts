import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

/** Which cores the measured server and everything around it run on; null: nothing is pinned. */
export interface Pinning {
  readonly server: string;
  readonly rest: string;
}

/**
 * The first core for the server under measurement, the others for load, upstream and stand-ins, so that neither
 * side takes time from the other. Null where there is no second core or no `taskset`.
 */
export function findPinning(): Pinning | null {
  if (availableParallelism() < 2 || spawnSync('taskset', ['--version']).status !== 0) return null;
  const last = availableParallelism() - 1;
  return { server: '0', rest: last === 1 ? '1' : `1-${last}` };
}

/** A command that runs on the given cores. */
export function pinned(cores: string | undefined, command: readonly string[]): string[] {
  return cores === undefined ? [...command] : ['taskset', '-c', cores, ...command];
}
