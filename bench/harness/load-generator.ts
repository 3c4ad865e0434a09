import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { LoadResult, LoadSpec } from '../load/spec.ts';
import { pinned } from './pinning.ts';

const PROGRAM = new URL('../load/process.ts', import.meta.url).pathname;

/** The process that makes load. */
export class LoadGenerator {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(cores: string | undefined): Promise<LoadGenerator> {
    const [execPath = '', ...execArgv] = pinned(cores, [process.execPath, '--max-old-space-size=4096']);
    const child = fork(PROGRAM, { execPath, execArgv, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    await once(child, 'message');
    return new LoadGenerator(child);
  }

  /** Puts one load on a server and gives what came of it. */
  async run(spec: LoadSpec): Promise<LoadResult> {
    const answered = once(this.#child, 'message');
    this.#child.send(spec);
    const [message] = await answered;
    const { result, fault } = message as { result?: LoadResult; fault?: string }; // the program's only answers
    if (result === undefined) throw new Error(`load generator: ${fault}`);
    // NaN does not survive the journey.
    return { ...result, cpu: result.cpu ?? Number.NaN };
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.disconnect();
    await exited;
  }
}
