import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';

const running = new Set<ChildProcess>();

// A test that fails, or a runner that is stopped, must leave nothing behind.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
process.on('SIGTERM', () => process.exit(143));

/** Starts a program that ends with the tests at the latest. */
export function startProcess(
  program: string,
  options: readonly string[],
  spawnOptions: SpawnOptions,
): ChildProcess {
  const child = spawn(program, options, spawnOptions);
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}
