import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../test/setup/free-port.ts';
import { LoadGenerator } from './load-generator.ts';
import { findPinning, type Pinning } from './pinning.ts';
import { ServerProcess } from './server-process.ts';

const folderOf = (path: string) => new URL(path, import.meta.url).pathname;

/** Everything around the servers under measurement: upstreams, decision services, Redis, load. */
export class Surroundings {
  readonly pinning: Pinning | null;
  readonly secret = randomBytes(32).toString('hex');
  readonly issuedAt = Math.floor(Date.now() / 1000);
  /** For configurations, logs and state; removed at the end. */
  readonly folder = mkdtempSync(join(tmpdir(), 'gateway-bench-'));
  readonly generator: LoadGenerator;
  readonly #servers: Record<'upstream' | 'services' | 'decisions' | 'redis', ServerProcess>;

  private constructor(
    pinning: Pinning | null,
    generator: LoadGenerator,
    servers: Record<'upstream' | 'services' | 'decisions' | 'redis', ServerProcess>,
  ) {
    this.pinning = pinning;
    this.generator = generator;
    this.#servers = servers;
  }

  static async start(): Promise<Surroundings> {
    const pinning = findPinning();
    const cores = pinning?.rest;
    const program = async (name: string) => {
      const port = await freePort();
      const command = [process.execPath, folderOf(`../stand-ins/${name}.ts`)];
      return ServerProcess.start(command, { port, cores, env: { PORT: String(port) } });
    };
    const redisPort = await freePort();
    const redis = ['redis-server', '--port', String(redisPort), '--bind', '127.0.0.1'];
    return new Surroundings(pinning, await LoadGenerator.start(cores), {
      upstream: await program('upstream'),
      services: await program('services'),
      decisions: await program('decisions'),
      redis: await ServerProcess.start([...redis, '--save', '', '--appendonly', 'no'], {
        port: redisPort,
        cores,
      }),
    });
  }

  /** Port of a stand-in. */
  portOf(name: 'upstream' | 'services' | 'decisions' | 'redis'): number {
    return this.#servers[name].port;
  }

  urlOf(name: 'upstream' | 'services' | 'decisions'): string {
    return `http://127.0.0.1:${this.portOf(name)}`;
  }

  /** The processes around, the bench's own among them; the load generator counts itself. */
  get pids(): number[] {
    return Object.values(this.#servers).map(({ pid }) => pid);
  }

  async stop(): Promise<void> {
    await this.generator.stop();
    await Promise.all(Object.values(this.#servers).map((server) => server.stop()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
