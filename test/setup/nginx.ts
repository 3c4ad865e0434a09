import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startProcess } from './child-process.ts';
import { until } from './until.ts';

/** An nginx of a test's own, in the foreground, with all its files in a folder of its own. */
export class Nginx {
  readonly #process: ChildProcess;
  readonly #folder: string;
  #output = '';

  private constructor(child: ChildProcess, folder: string) {
    this.#process = child;
    this.#folder = folder;
    child.stderr?.on('data', (chunk) => {
      this.#output += chunk;
    });
  }

  /**
   * Starts nginx and waits until it listens.
   * @param config whole configuration; what it says of pid, log and temporary files is overruled
   */
  static async start(config: string, port: number): Promise<Nginx> {
    const folder = mkdtempSync(join(tmpdir(), 'gateway-nginx-'));
    const file = join(folder, 'nginx.conf');
    const bodies = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (kind) => `${kind}_temp_path ${folder}/${kind};`,
    );
    writeFileSync(
      file,
      config
        .replace(/^pid .*$/m, `pid ${folder}/nginx.pid;`)
        .replace('http {', `http {\n${bodies.join('\n')}`),
    );
    const child = startProcess('nginx', ['-p', folder, '-c', file, '-g', 'daemon off;'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const nginx = new Nginx(child, folder);
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`nginx ended: ${nginx.#output}`);
      return listens(port);
    });
    return nginx;
  }

  async close(): Promise<void> {
    if (this.#process.exitCode === null) {
      const exited = once(this.#process, 'exit');
      this.#process.kill('SIGTERM');
      await exited;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true));
    socket.on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}
