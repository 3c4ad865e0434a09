import { once } from 'node:events';
import { startProcess } from './child-process.ts';
import { COMPILE_CACHE } from './gateway.ts';

const MAIN = new URL('../../src/cli/main.ts', import.meta.url).pathname;

/** What a command did. */
export interface CliResult {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the command line as its users do; `meanwhile` may look at its output and end it. */
export async function cli(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  meanwhile?: (output: () => string, end: () => void) => Promise<void>,
): Promise<CliResult> {
  const child = startProcess(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env.PATH ?? '', NODE_COMPILE_CACHE: COMPILE_CACHE, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (chunk) => {
    out += chunk;
  });
  child.stderr?.setEncoding('utf8').on('data', (chunk) => {
    err += chunk;
  });
  const closed = once(child, 'close');
  await meanwhile?.(
    () => out,
    () => child.kill('SIGINT'),
  );
  await closed;
  return { code: child.exitCode, out, err };
}
