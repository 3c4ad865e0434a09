import type { Worker } from 'node:cluster';
import type { Reading } from '../config/config-source.ts';
import type { ToWorker, WorkerStatus } from './messages.ts';

/** A worker that does not serve after so long never will. Milliseconds. */
const START_TIMEOUT = 30_000;

/** A worker that says nothing for so long is stuck. Milliseconds. */
const HEARTBEAT_TIMEOUT = 10_000;

/** How long beyond `DRAIN_TIMEOUT` a worker may take to flush and exit. Milliseconds. */
const EXIT_GRACE = 10_000;

/** Why a worker ended, as logs and metrics say it. */
export type Ending = 'drained' | 'crashed' | 'stuck' | 'overdue' | 'failed_to_start';

/** One worker process as the primary sees it. */
export class Member {
  readonly worker: Worker;
  /** What it runs with. */
  readonly reading: Reading;
  readonly startedAt = Date.now();
  /** What it said last; null until it serves. */
  status: WorkerStatus | null = null;
  /** Whether it is on its way out. */
  retiring = false;
  readonly #serves = Promise.withResolvers<boolean>();
  #lastHeard = performance.now();
  /** When a retiring worker is given up. */
  #deadline = Number.POSITIVE_INFINITY;
  #killedFor: Ending | null = null;

  constructor(worker: Worker, reading: Reading) {
    this.worker = worker;
    this.reading = reading;
  }

  /** Resolves to true once the worker serves, to false if it ended before. */
  get serves(): Promise<boolean> {
    return this.#serves.promise;
  }

  get id(): number {
    return this.worker.id;
  }

  get pid(): number | undefined {
    return this.worker.process.pid;
  }

  /** Notes a status. Gives whether it is the first one with which the worker serves. */
  heard(status: WorkerStatus): boolean {
    const first = this.status === null && status.accepting;
    this.status = status;
    this.#lastHeard = performance.now();
    this.#serves.resolve(true);
    return first;
  }

  /** Counts silence from now on: the primary itself could not listen. */
  forgive(): void {
    this.#lastHeard = performance.now();
  }

  send(message: ToWorker): void {
    // Without a callback a worker that is just gone would raise an error; its exit is dealt with by itself.
    this.worker.send(message, () => {});
  }

  /**
   * Lets the worker finish what it has. May be called again with another `idle`.
   * @param stopping whether all workers retire
   */
  retire(idle: number, stopping = false): void {
    if (!this.retiring) this.#deadline = performance.now() + this.reading.config.drainTimeout + EXIT_GRACE;
    this.retiring = true;
    // One that does not listen to messages yet has no handler for the signal either, and ends at once.
    if (this.status === null) this.worker.process.kill('SIGTERM');
    else this.send({ kind: 'drain', idle, stopping });
  }

  /** Kills a worker that is stuck or overdue; gives why. */
  check(): Ending | null {
    if (this.#killedFor !== null) return null;
    const now = performance.now();
    const silent = now - this.#lastHeard;
    if (now > this.#deadline) this.#killedFor = 'overdue';
    else if (this.status === null && silent > START_TIMEOUT) this.#killedFor = 'failed_to_start';
    else if (this.status !== null && silent > HEARTBEAT_TIMEOUT) this.#killedFor = 'stuck';
    if (this.#killedFor !== null) this.worker.process.kill('SIGKILL');
    return this.#killedFor;
  }

  /** Notes the end of the process; gives what kind of end it was. */
  ended(code: number | null, signal: string | null): Ending {
    this.#serves.resolve(false);
    if (this.#killedFor !== null) return this.#killedFor;
    if (this.retiring && (code === 0 || signal === 'SIGTERM')) return 'drained';
    return this.status === null ? 'failed_to_start' : 'crashed';
  }
}
