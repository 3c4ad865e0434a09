import cluster, { type Worker } from 'node:cluster';
import type { Reading } from '../config/config-source.ts';
import type { Logger } from '../telemetry/log.ts';
import type { FirstWorker } from './first-worker.ts';
import { type Ending, Member } from './member.ts';
import { isToPrimary, type MetricsReply, type SnapshotRequest } from './messages.ts';
import { RestartPolicy } from './restart-policy.ts';

const CHECK_INTERVAL = 1_000;

/** When the gateway stops, a connection idle for so long is taken to have no request on its way. Milliseconds. */
const STOP_IDLE = 1_000;

/** In a roll nobody waits for the old worker, so that its clients get longer to send one more request. */
const ROLL_IDLE = 5_000;

/** Told of what happens to the workers. */
export interface FleetEvents {
  metrics(member: Member, reply: MetricsReply): void;
  ended(member: Member, how: Ending): void;
  /** No worker is left after {@link Fleet.drain}. */
  empty(): void;
  /** No worker serves, and starting more of them is pointless. */
  crashLoop(): void;
}

/** The workers: keeps as many as wanted, replaces dead and stuck ones, and exchanges them while they serve. */
export class Fleet {
  readonly #log: Logger;
  readonly #events: FleetEvents;
  readonly #members = new Map<Worker, Member>();
  readonly #restarts = new RestartPolicy();
  #reading: Reading;
  /** Replacements that wait for their time. */
  #awaited = 0;
  #draining = false;
  #checkedAt = performance.now();

  constructor(reading: Reading, log: Logger, events: FleetEvents) {
    this.#reading = reading;
    this.#log = log;
    this.#events = events;
  }

  get members(): readonly Member[] {
    return [...this.#members.values()];
  }

  /** Takes over the first worker and starts the others. */
  start(first: FirstWorker): void {
    cluster.on('message', (worker, message) => this.#onMessage(worker, message));
    cluster.on('exit', (worker, code, signal) => {
      // What a worker said last, its final counts among it, may arrive after its end.
      if (worker.isConnected()) worker.once('disconnect', () => this.#onEnd(worker, code, signal));
      else this.#onEnd(worker, code, signal);
    });
    setInterval(() => this.#check(), CHECK_INTERVAL);
    if (!first.worker.isDead()) {
      this.#adopt(first.worker, this.#reading);
      if (first.asked) this.#onMessage(first.worker, { kind: 'snapshot-request' } satisfies SnapshotRequest);
    }
    this.#fill();
  }

  /**
   * Exchanges all workers for ones that run with `reading`, one by one: an old one drains only when a new one
   * serves. If the first new one does not, nothing has changed and the answer is `refused`; if a later one does
   * not, the old ones that are left go on, `incomplete`.
   */
  async roll(reading: Reading): Promise<'done' | 'refused' | 'incomplete'> {
    if (!(await this.#join(reading))) return 'refused';
    this.#reading = reading;
    this.#trim();
    while (!this.#draining && this.#kept().filter((member) => this.#isFresh(member)).length < this.#wanted) {
      if (!(await this.#join(reading))) return 'incomplete';
      this.#trim();
    }
    return 'done';
  }

  /** Lets all workers finish and end. */
  drain(): void {
    this.#draining = true;
    if (this.#members.size === 0) this.#events.empty();
    for (const member of this.#members.values()) member.retire(STOP_IDLE, true);
  }

  kill(): void {
    for (const member of this.#members.values()) member.worker.process.kill('SIGKILL');
  }

  get #wanted(): number {
    return this.#reading.config.workers;
  }

  #kept(): Member[] {
    return this.members.filter((member) => !member.retiring);
  }

  #isFresh(member: Member): boolean {
    return member.reading === this.#reading;
  }

  #fork(reading: Reading): Member {
    return this.#adopt(cluster.fork(), reading);
  }

  #adopt(worker: Worker, reading: Reading): Member {
    const member = new Member(worker, reading);
    this.#members.set(member.worker, member);
    return member;
  }

  async #join(reading: Reading): Promise<boolean> {
    return !this.#draining && (await this.#fork(reading).serves);
  }

  #fill(): void {
    while (!this.#draining && this.#kept().length + this.#awaited < this.#wanted) this.#fork(this.#reading);
  }

  /** Retires as many as there are too many, those of an older configuration first. */
  #trim(): void {
    const kept = this.#kept();
    const surplus = kept.length - this.#wanted;
    const leaving = kept.sort((a, b) => Number(this.#isFresh(a)) - Number(this.#isFresh(b)));
    for (const member of leaving.slice(0, Math.max(0, surplus))) member.retire(ROLL_IDLE);
  }

  #onMessage(worker: Worker, message: unknown): void {
    const member = this.#members.get(worker);
    if (member === undefined || !isToPrimary(message)) return;
    switch (message.kind) {
      case 'snapshot-request':
        member.send({ kind: 'snapshot', snapshot: member.reading.snapshot });
        return;
      case 'metrics':
        this.#events.metrics(member, message);
        return;
      case 'status':
        if (member.heard(message)) {
          this.#restarts.ready();
          this.#log.info({ worker: worker.id, workerPid: member.pid }, 'worker ready');
        }
        if (message.accepting || member.retiring) return;
        // Somebody sent the signal to this worker alone: it drains, and another one takes its place.
        member.retire(ROLL_IDLE);
        this.#fill();
    }
  }

  #onEnd(worker: Worker, code: number | null, signal: string | null): void {
    const member = this.#members.get(worker);
    if (member === undefined) return;
    this.#members.delete(worker);
    const how = member.ended(code, signal);
    this.#events.ended(member, how);
    if (how === 'drained') this.#log.info({ worker: worker.id, workerPid: member.pid }, 'worker drained');
    else this.#log.error({ worker: worker.id, workerPid: member.pid, code, signal, how }, 'worker died');
    if (this.#draining) {
      if (this.#members.size === 0) this.#events.empty();
      return;
    }
    if (this.#kept().length + this.#awaited >= this.#wanted) return;
    const othersServe = this.#kept().some(({ status }) => status !== null);
    const delay = this.#restarts.died(member.status !== null, othersServe);
    if (delay === null) {
      this.#events.crashLoop();
      return;
    }
    this.#awaited++;
    setTimeout(() => {
      this.#awaited--;
      this.#fill();
    }, delay);
  }

  #check(): void {
    const now = performance.now();
    const late = now - this.#checkedAt > 2 * CHECK_INTERVAL;
    this.#checkedAt = now;
    for (const member of this.#members.values()) {
      if (late) member.forgive();
      const why = member.check();
      if (why !== null)
        this.#log.error({ worker: member.worker.id, workerPid: member.pid, why }, 'worker killed');
    }
  }
}
