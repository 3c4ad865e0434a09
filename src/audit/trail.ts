import { Piscina } from 'piscina';
import { type AuditSubject, eventText } from './event-text.ts';
import type { ShipResult, ThreadOptions } from './thread.ts';

export type { AuditSubject } from './event-text.ts';

/** Events are handed over in batches of at most so many: large enough to be cheap, small enough to be quick. */
const MAX_BATCH = 2048;

/** A batch this large does not wait for the flush interval. */
const EAGER_BATCH = 128;

/** How often spooled events are tried again while nothing else is shipped. Milliseconds. */
const REPLAY_INTERVAL = 1_000;

export interface AuditOptions extends ThreadOptions {
  /** Milliseconds an event waits for company. */
  readonly flushInterval: number;
  /** Events held in memory at most; beyond that they are dropped and counted. */
  readonly maxBacklog: number;
}

/** Where the trail reports what becomes of events. */
export interface AuditReport {
  events(result: 'accepted' | 'written' | 'spooled' | 'replayed' | 'dropped', count: number): void;
  log(level: 'warn' | 'error', message: string, fields: object): void;
}

/**
 * Takes one event per request and gets it to the stream by way of a thread. {@link AuditTrail.record} never
 * throws and never waits; one batch is under way at a time, and what arrives meanwhile makes the next one.
 */
export class AuditTrail {
  readonly #options: AuditOptions;
  readonly #report: AuditReport;
  readonly #thread: Piscina<readonly string[], ShipResult>;
  readonly #replayTimer: NodeJS.Timeout;
  #batch: string[] = [];
  #timer: NodeJS.Timeout | null = null;
  #shipping: Promise<void> | null = null;
  #inFlight = 0;
  #accepted = 0;
  #spooled = false;
  #lastComplaint = 0;

  private constructor(options: AuditOptions, report: AuditReport) {
    this.#options = options;
    this.#report = report;
    const { redisUrl, jwtSecret, stateDir, worker, spoolMax } = options;
    const workerData: ThreadOptions = { redisUrl, jwtSecret, stateDir, worker, spoolMax };
    this.#thread = new Piscina({
      filename: new URL('./thread.ts', import.meta.url).href,
      minThreads: 1,
      maxThreads: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      // With atomics the thread blocks between tasks, and its socket and timers with it.
      atomics: 'disabled',
      workerData,
    });
    this.#replayTimer = setInterval(() => this.#tick(), REPLAY_INTERVAL);
    this.#replayTimer.unref();
  }

  /** Starts the thread and waits until it can take events. */
  static async open(options: AuditOptions, report: AuditReport): Promise<AuditTrail> {
    const trail = new AuditTrail(options, report);
    trail.#account(await trail.#thread.run([]));
    return trail;
  }

  /** Events in memory: waiting or with the thread. */
  get backlog(): number {
    return this.#batch.length + this.#inFlight;
  }

  /** Takes one event. Beyond `maxBacklog` it is dropped and counted. */
  record(subject: AuditSubject): void {
    if (this.backlog >= this.#options.maxBacklog) {
      this.#report.events('dropped', 1);
      this.#complain('audit events are dropped: the backlog is full', { backlog: this.backlog });
      return;
    }
    this.#accepted++;
    const waiting = this.#batch.push(eventText(subject));
    if (waiting >= EAGER_BATCH && this.#shipping === null) this.#ship();
    else this.#timer ??= setTimeout(() => this.#onTimer(), this.#options.flushInterval);
  }

  /** Ships or spools everything, then stops the thread. */
  async close(): Promise<void> {
    clearInterval(this.#replayTimer);
    while (this.#batch.length > 0 || this.#shipping !== null) {
      if (this.#shipping === null) this.#ship();
      await this.#shipping;
    }
    this.#countAccepted();
    await this.#thread.close();
  }

  #onTimer(): void {
    this.#timer = null;
    if (this.#shipping === null && this.#batch.length > 0) this.#ship();
  }

  #tick(): void {
    if (this.#spooled && this.#shipping === null) this.#ship();
  }

  #ship(): void {
    const batch = this.#batch.length <= MAX_BATCH ? this.#batch : this.#batch.slice(0, MAX_BATCH);
    this.#batch = this.#batch.length <= MAX_BATCH ? [] : this.#batch.slice(MAX_BATCH);
    this.#inFlight = batch.length;
    this.#countAccepted();
    this.#shipping = this.#thread
      .run(batch)
      .then(
        (result) => this.#account(result),
        (error: unknown) => {
          this.#report.events('dropped', batch.length);
          this.#complain('audit events are lost: the audit thread failed', {
            err: error,
            events: batch.length,
          });
        },
      )
      .finally(() => {
        this.#inFlight = 0;
        this.#shipping = null;
        if (this.#batch.length > 0) this.#ship();
      });
  }

  #account({ written, spooled, replayed, dropped, spoolEmpty, fault }: ShipResult): void {
    if (written > 0) this.#report.events('written', written);
    if (spooled > 0) this.#report.events('spooled', spooled);
    if (replayed > 0) this.#report.events('replayed', replayed);
    if (dropped > 0) this.#report.events('dropped', dropped);
    this.#spooled = !spoolEmpty;
    if (fault !== null) this.#complain('audit events do not reach the stream', { fault, spooled, dropped });
  }

  /** Counted per batch: one increment of the library's counter costs as much as the event's text. */
  #countAccepted(): void {
    if (this.#accepted > 0) this.#report.events('accepted', this.#accepted);
    this.#accepted = 0;
  }

  /** Loud, but not more often than every ten seconds. */
  #complain(message: string, fields: object): void {
    const now = Date.now();
    if (now - this.#lastComplaint < 10_000) return;
    this.#lastComplaint = now;
    this.#report.log('error', message, fields);
  }
}
