import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startProcess } from './child-process.ts';
import { freePort } from './free-port.ts';
import { until } from './until.ts';

const MAIN = new URL('../../src/start.js', import.meta.url).pathname;

/** Where what the tests start finds its code compiled. */
export const COMPILE_CACHE = join(tmpdir(), 'gateway-test-compile-cache');

/** Decision services may take as long as a busy machine needs: for tests of something else. */
export const PATIENT = { IAM_TIMEOUT: '20', POLICY_TIMEOUT: '20' };

/** A gateway started as its users start it, with what it printed. */
export class Gateway {
  readonly url: string;
  readonly adminUrl: string;
  readonly port: number;
  readonly stateDir: string;
  readonly process: ChildProcess;
  output = '';

  private constructor(process: ChildProcess, port: number, adminPort: number, stateDir: string) {
    this.process = process;
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.adminUrl = `http://127.0.0.1:${adminPort}`;
    this.stateDir = stateDir;
    process.stdout?.on('data', (chunk) => {
      this.output += chunk;
    });
    process.stderr?.on('data', (chunk) => {
      this.output += chunk;
    });
  }

  /** Starts a gateway with `env` on free ports and waits until all its workers are ready. */
  static async start(env: Readonly<Record<string, string>>): Promise<Gateway> {
    const gateway = await Gateway.spawn(env);
    await until(async () => {
      if (gateway.process.exitCode !== null) throw new Error(`gateway ended: ${gateway.output}`);
      const response = await fetch(`${gateway.adminUrl}/ready`).catch(() => null);
      if (response?.status !== 200) return false;
      const { workers } = (await response.json()) as { workers: { wanted: number; accepting: number } };
      return workers.accepting === workers.wanted;
    }, 50_000); // a busy machine starts slowly
    return gateway;
  }

  /** Starts a gateway without waiting for it. */
  static async spawn(env: Readonly<Record<string, string>>): Promise<Gateway> {
    const [port, adminPort] = [await freePort(), await freePort()];
    const stateDir = mkdtempSync(join(tmpdir(), 'gateway-state-'));
    const child = startProcess(process.execPath, [MAIN], {
      env: {
        PATH: process.env.PATH ?? '',
        // Dozens of gateways are started; compiling them once is enough.
        NODE_COMPILE_CACHE: COMPILE_CACHE,
        HOST: '127.0.0.1',
        PORT: String(port),
        ADMIN_PORT: String(adminPort),
        WORKERS: '1',
        STATE_DIR: stateDir,
        // A machine that is busy with tests is no overload of the gateway.
        MAX_EVENT_LOOP_LAG: '30',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new Gateway(child, port, adminPort, stateDir);
  }

  async metrics(): Promise<string> {
    return (await fetch(`${this.adminUrl}/metrics`)).text();
  }

  /** Asks the gateway to stop and gives its exit code. */
  async stop(): Promise<number | null> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const exited = once(this.process, 'exit');
      this.process.kill('SIGTERM');
      await exited;
    }
    rmSync(this.stateDir, { recursive: true, force: true });
    return this.process.exitCode;
  }
}
