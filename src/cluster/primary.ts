import cluster, { type Worker } from 'node:cluster';
import { AdminServer } from '../admin/admin-server.ts';
import { type Config, describeConfig } from '../config/config.ts';
import { createLogger, type Logger } from '../telemetry/log.ts';
import { isMetricsReply, isWorkerStatus, type WorkerStatus } from './messages.ts';
import { RestartPolicy } from './restart-policy.ts';

/** How long beyond `DRAIN_TIMEOUT` workers may take to flush and exit. Milliseconds. */
const EXIT_GRACE = 10_000;

/** A scrape does without the metrics of a worker that takes longer. Milliseconds. */
const SCRAPE_TIMEOUT = 1_000;

/** Forks the workers, replaces dead ones, serves the admin port, and ends all of it in order. */
export class Primary {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #admin: AdminServer;
  readonly #restarts = new RestartPolicy();
  readonly #statuses = new Map<Worker, WorkerStatus>();
  readonly #scrapes = new Map<number, (worker: Worker, metrics: object) => void>();
  #scrape = 0;
  #draining = false;

  private constructor(config: Config) {
    this.#config = config;
    this.#log = createLogger(config.logLevel, 'primary');
    this.#admin = new AdminServer(
      () => ({ draining: this.#draining, workers: [...this.#statuses.values()], wanted: config.workers }),
      () => this.#collectMetrics(),
    );
  }

  /** Starts everything. Rejects where the admin port cannot be had. */
  static async start(config: Config, warnings: readonly string[]): Promise<void> {
    const primary = new Primary(config);
    for (const warning of warnings) primary.#log.warn(warning);
    await primary.#admin.listen(config.adminHost, config.adminPort);
    primary.#log.info({ config: describeConfig(config) }, 'gateway starting');
    cluster.on('exit', (worker, code, signal) => primary.#onExit(worker, code, signal));
    cluster.on('message', (worker, message) => primary.#onMessage(worker, message));
    process.on('SIGTERM', () => primary.#drain('SIGTERM'));
    process.on('SIGINT', () => primary.#drain('SIGINT'));
    for (let i = 0; i < config.workers; i++) cluster.fork();
  }

  #onMessage(worker: Worker, message: unknown): void {
    if (isMetricsReply(message)) this.#scrapes.get(message.id)?.(worker, message.metrics);
    if (!isWorkerStatus(message)) return;
    const before = this.#statuses.get(worker);
    this.#statuses.set(worker, message);
    if (message.accepting && before?.accepting !== true) {
      this.#restarts.ready();
      this.#log.info({ worker: worker.id, workerPid: worker.process.pid }, 'worker ready');
    }
  }

  #onExit(worker: Worker, code: number | null, signal: string | null): void {
    const wasReady = this.#statuses.delete(worker);
    if (this.#draining) {
      if (Object.keys(cluster.workers ?? {}).length === 0) this.#exit(0, 'gateway stopped');
      return;
    }
    const delay = this.#restarts.died(wasReady);
    this.#log.error({ worker: worker.id, code, signal, restartIn: delay }, 'worker died');
    if (delay === null) {
      for (const other of Object.values(cluster.workers ?? {})) other?.process.kill('SIGKILL');
      this.#exit(1, 'workers die at start again and again: see the errors above');
      return;
    }
    setTimeout(() => {
      if (!this.#draining) cluster.fork();
    }, delay);
  }

  #collectMetrics(): Promise<object[]> {
    const id = this.#scrape++;
    const waiting = new Set(Object.values(cluster.workers ?? {}).filter((worker) => worker?.isConnected()));
    const collected: object[] = [];
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        this.#scrapes.delete(id);
        resolve(collected);
      };
      const timer = setTimeout(finish, SCRAPE_TIMEOUT);
      this.#scrapes.set(id, (worker, metrics) => {
        if (waiting.delete(worker)) collected.push(metrics);
        if (waiting.size === 0) finish();
      });
      for (const worker of waiting) worker?.send({ kind: 'metrics', id });
      if (waiting.size === 0) finish();
    });
  }

  #drain(signal: string): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#log.info({ signal, workers: this.#statuses.size }, 'draining');
    const workers = Object.values(cluster.workers ?? {});
    if (workers.length === 0) this.#exit(0, 'gateway stopped');
    for (const worker of workers) worker?.send({ kind: 'drain' });
    setTimeout(() => {
      for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL');
      this.#exit(1, 'workers did not stop in time and were killed');
    }, this.#config.drainTimeout + EXIT_GRACE);
  }

  #exit(code: number, message: string): void {
    if (code === 0) this.#log.info(message);
    else this.#log.fatal(message);
    this.#admin.close();
    process.exit(code);
  }
}
