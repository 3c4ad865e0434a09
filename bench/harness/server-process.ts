import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { pinned } from './pinning.ts';

const START_TIMEOUT = 20_000;

/** A server of the bench in a process of its own. */
export class ServerProcess {
  readonly port: number;
  readonly #child: ChildProcess;
  #output = '';

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
    const keep = (chunk: Buffer) => {
      this.#output = (this.#output + chunk).slice(-10_000);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
  }

  /** Starts `command` on `cores` and waits until somebody accepts connections on `port`. */
  static async start(
    command: readonly string[],
    options: { port: number; cores: string | undefined; env?: Readonly<Record<string, string>> },
  ): Promise<ServerProcess> {
    const [program = '', ...args] = pinned(options.cores, command);
    const child = spawn(program, args, {
      env: { PATH: process.env.PATH ?? '', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const server = new ServerProcess(child, options.port);
    child.on('error', (error) => {
      server.#output += error.message;
    });
    const deadline = Date.now() + START_TIMEOUT;
    while (!(await accepts(options.port))) {
      if (child.exitCode !== null || child.pid === undefined || Date.now() > deadline) {
        await server.stop();
        throw new Error(`${command.join(' ')} does not start:\n${server.#output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return server;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get output(): string {
    return this.#output;
  }

  async stop(): Promise<void> {
    if (this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null)
      return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 8_000);
    await exited;
    clearTimeout(timer);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
