import { join } from 'node:path';
import type { AuditThread } from './audit-thread.ts';
import { type AuditSubject, FactsBatch, type PackedFacts } from './facts.ts';
import { Tally } from './tally.ts';
import type { ThreadOptions, ThreadReply, ThreadTask } from './thread-options.ts';

export type { AuditSubject } from './facts.ts';

/**
 * A batch this large does not wait for the flush interval. Handing over costs both threads a switch and cold caches:
 * at 10,000 requests a second 128 took an eighth more CPU time than what gathers in 20 ms.
 */
const EAGER_BATCH = 512;

/** How often the thread looks after what waits. Milliseconds. */
const TICK = 1_000;

/** The same while requests are refused because nothing takes events. Milliseconds. */
const URGENT_TICK = 100;

/** A loud line in the log at most so often. Milliseconds. */
const COMPLAINT_INTERVAL = 10_000;

/** A worker that is about to end waits so long for the thread. Milliseconds. */
const FLUSH_LIMIT = 2_000;

export interface AuditOptions {
  /** Null: embedded mode, the spool is the trail. */
  readonly redisUrl: string | null;
  readonly jwtSecret: string;
  readonly stateDir: string;
  readonly strict: boolean;
  /** Milliseconds an event waits for company. */
  readonly flushInterval: number;
  /** Events held in memory at most; beyond that they are dropped and counted. */
  readonly backlogMax: number;
  /** Bytes the spools of all workers may take together. */
  readonly spoolMax: number;
  /** Milliseconds for which acknowledged events are kept in case the stream loses them. */
  readonly retention: number;
}

/** Where the trail reports what goes wrong. */
export type AuditLog = (message: string, fields: object) => void;

/**
 * Takes one event per request and gets it to the stream by way of a thread. {@link AuditTrail.record} never
 * throws and never waits.
 */
export class AuditTrail {
  readonly tally = new Tally();
  /** Resolves once the thread can take events; before, they would be lost with the process. */
  readonly opened: Promise<void>;
  readonly #options: AuditOptions;
  readonly #log: AuditLog;
  readonly #thread: AuditThread;
  readonly #threadOptions: ThreadOptions;
  readonly #taken = new Int32Array(new SharedArrayBuffer(4));
  readonly #batch = new FactsBatch(EAGER_BATCH * 2);
  readonly #eagerBatch: number;
  #promises: ((kept: boolean) => void)[] = [];
  #promiseBatches = 0;
  #flushTimer: NodeJS.Timeout | null = null;
  #flushesThisTurn = false;
  #tickTimer: NodeJS.Timeout | null = null;
  #handedOver = 0;
  #batches = 0;
  #accepted = 0;
  #dropped = 0;
  #reportedDrops = 0;
  #healthy = true;
  /** When each message was logged last, in epoch milliseconds. */
  readonly #complainedAt = new Map<string, number>();

  /** Opens the trail in the thread; {@link opened} tells when it can take events. */
  constructor(options: AuditOptions, thread: AuditThread, log: AuditLog) {
    this.#options = options;
    this.#eagerBatch = Math.min(EAGER_BATCH, options.backlogMax);
    this.#thread = thread;
    this.#log = log;
    const { redisUrl, jwtSecret, stateDir, strict, backlogMax, spoolMax, retention } = options;
    this.#threadOptions = {
      redisUrl,
      jwtSecret,
      folder: join(stateDir, 'audit'),
      strict,
      backlogMax,
      spoolMax,
      retention,
      tally: this.tally.buffer,
      taken: this.#taken,
    };
    this.opened = this.#tick('open');
  }

  /** Events in memory on this side: waiting, or with the thread and not yet written down. */
  get waiting(): number {
    return this.#batch.count + this.#handedOver;
  }

  /** Events of all requests there were. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Events lost on this side of the thread. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Strict mode: whether a record would be kept. Async mode: always. */
  get available(): boolean {
    return this.#healthy || !this.#options.strict;
  }

  get strict(): boolean {
    return this.#options.strict;
  }

  /** Takes one event. Beyond `backlogMax` it is dropped and counted. */
  record(subject: AuditSubject): void {
    this.#accepted++;
    if (this.waiting >= this.#options.backlogMax) {
      this.#dropped++;
      return;
    }
    this.#batch.add(subject, false);
    if (this.#batch.count >= this.#eagerBatch) this.#flush();
    else this.#flushTimer ??= setTimeout(() => this.#flush(), this.#options.flushInterval);
  }

  /**
   * Strict mode: writes down what is known of a request before its answer begins. The event itself follows
   * with {@link record} under the id that is returned; should the process die before, the promise becomes
   * the event.
   * @param settled told whether the record is on disk or, without a disk, in the stream
   */
  promise(subject: AuditSubject, settled: (kept: boolean) => void): string {
    this.#batch.add(subject, true);
    const eventId = this.#batch.lastId;
    this.#promises.push(settled);
    // One write for all that finished in this turn of the event loop, and one at a time: what comes while
    // the disk is at work goes with the next.
    if (this.#promiseBatches === 0 && !this.#flushesThisTurn) {
      this.#flushesThisTurn = true;
      setImmediate(() => {
        this.#flushesThisTurn = false;
        this.#flush();
      });
    }
    return eventId;
  }

  /** Hands over what waits and blocks until it is on disk: for a process that is about to end. */
  flushSync(): void {
    this.#flush();
    const deadline = Date.now() + FLUSH_LIMIT;
    for (
      let taken = Atomics.load(this.#taken, 0);
      taken < this.#batches;
      taken = Atomics.load(this.#taken, 0)
    ) {
      if (Atomics.wait(this.#taken, 0, taken, Math.max(0, deadline - Date.now())) === 'timed-out') return;
    }
  }

  /** Ships or spools everything, then stops the thread. */
  async close(): Promise<void> {
    if (this.#tickTimer !== null) clearTimeout(this.#tickTimer);
    while (this.waiting > 0 || this.#promises.length > 0) {
      this.#flush();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#note(await this.#run('close'));
    await this.#thread.close();
  }

  #flush(): void {
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer);
    this.#flushTimer = null;
    const count = this.#batch.count;
    if (count === 0) return;
    const promises = this.#promises;
    this.#promises = [];
    this.#handedOver += count;
    this.#batches++;
    if (promises.length > 0) this.#promiseBatches++;
    void this.#handOver(this.#batch.take(), count, promises);
  }

  async #handOver(
    packed: PackedFacts,
    count: number,
    promises: readonly ((kept: boolean) => void)[],
  ): Promise<void> {
    let kept = false;
    try {
      // A thread that died is replaced; its events have their ids, so that a repeat is harmless.
      const reply = await this.#run(packed).catch(() => this.#run(packed));
      kept = reply.kept;
      this.#note(reply);
    } catch (error) {
      this.#dropped += count - promises.length;
      this.#complain('audit events are lost: the audit thread failed', { err: error, events: count });
    }
    this.#handedOver -= count;
    if (promises.length === 0) return;
    this.#promiseBatches--;
    if (!kept) this.#setHealthy(false);
    for (const settled of promises) settled(kept);
    if (this.#promises.length > 0 && this.#promiseBatches === 0) this.#flush();
  }

  async #tick(duty: 'open' | 'tick'): Promise<void> {
    try {
      this.#note(await this.#run(duty));
    } catch (error) {
      this.#complain('the audit thread failed', { err: error });
    }
    this.#scheduleTick();
  }

  #run(task: ThreadTask): Promise<ThreadReply> {
    return this.#thread.run(this.#threadOptions, task);
  }

  #scheduleTick(): void {
    this.#tickTimer = setTimeout(() => void this.#tick('tick'), this.available ? TICK : URGENT_TICK);
    this.#tickTimer.unref();
  }

  #setHealthy(healthy: boolean): void {
    if (this.#healthy === healthy) return;
    this.#healthy = healthy;
    if (healthy || !this.#options.strict || this.#tickTimer === null) return;
    clearTimeout(this.#tickTimer);
    this.#scheduleTick();
  }

  #note({ healthy, diskFault, streamFault }: ThreadReply): void {
    this.#setHealthy(healthy);
    const dropped = this.#dropped + this.tally.get('dropped');
    const fresh = dropped - this.#reportedDrops;
    if (fresh === 0 && diskFault === null && streamFault === null) return;
    const message = fresh > 0 ? 'audit events are dropped' : 'audit events wait';
    if (!this.#complain(message, { dropped: fresh, disk: diskFault, stream: streamFault })) return;
    this.#reportedDrops = dropped;
  }

  /** Loud, but for each message not more often than every ten seconds. */
  #complain(message: string, fields: object): boolean {
    const now = Date.now();
    if (now - (this.#complainedAt.get(message) ?? 0) < COMPLAINT_INTERVAL) return false;
    this.#complainedAt.set(message, now);
    this.#log(message, fields);
    return true;
  }
}
