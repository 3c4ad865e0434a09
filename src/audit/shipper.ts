import type { Backlog, Shipment } from './backlog.ts';
import type { FramedEvents } from './frame-writer.ts';
import { isBefore, type Position } from './segments.ts';
import { type Appended, AuditStream } from './stream.ts';
import type { Tally } from './tally.ts';

/** Pause after a failed batch, doubled each time. Milliseconds. */
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 1_000;

/** How often it is noted up to where the stream had taken events. Milliseconds. */
const MARK_INTERVAL = 1_000;

/** Faults after which the events may have arrived all the same. */
const UNCERTAIN = /timed out|closed|ECONN|EPIPE|reset/i;

/** The id of an entry of the stream and what the spool held up to it. */
interface Mark {
  readonly id: string;
  readonly position: Position;
  readonly at: number;
}

/** Ships the backlog, one batch at a time, and notices when the stream has lost what it had taken. */
export class Shipper {
  readonly #backlog: Backlog;
  readonly #stream: AuditStream;
  readonly #tally: Tally;
  readonly #retention: number;
  /** Oldest first; the last one is the newest there is. */
  #marks: Mark[] = [];
  #shipping: Promise<void> | null = null;
  #retry: NodeJS.Timeout | null = null;
  #pause = FIRST_PAUSE;
  #reconnected = false;
  #fault: string | null = null;

  /** @param retention milliseconds for which the spool keeps what was acknowledged */
  constructor(url: string, backlog: Backlog, tally: Tally, retention: number) {
    this.#backlog = backlog;
    this.#tally = tally;
    this.#retention = retention;
    this.#stream = new AuditStream(url, () => {
      this.#reconnected = true;
      this.#resume();
    });
  }

  /** Why the stream does not take events; null where it does. */
  get fault(): string | null {
    return this.#stream.ready ? this.#fault : 'no connection to Redis';
  }

  /** Resolves once the connection is made, or after `limit` milliseconds. */
  connected(limit: number): Promise<void> {
    return this.#stream.connected(limit);
  }

  /** Ships what there is, unless it is at it already or pauses after a failure. */
  wake(): void {
    if (!this.#stream.ready) this.#backlog.park();
    if (this.#shipping !== null || this.#retry !== null || !this.#stream.ready) return;
    this.#shipping = this.#shipAll().finally(() => {
      this.#shipping = null;
    });
  }

  /** Resolves once what was there when it was called has been shipped, or has failed. */
  async settled(): Promise<void> {
    await this.#shipping; // which may have looked for more before that was there
    this.wake();
    await this.#shipping;
  }

  /** Ships until nothing is left, the stream fails, or `limit` milliseconds have passed. */
  async drain(limit: number): Promise<void> {
    this.#resume();
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limit);
    });
    await Promise.race([this.#shipping, deadline]);
    clearTimeout(timer);
  }

  /** Ships events that are not part of the backlog. */
  async append(events: FramedEvents): Promise<Appended> {
    const startedAt = performance.now();
    const appended = await this.#stream.append(events);
    if (appended.lastId !== null) {
      this.#tally.batchSizes.observe(events.count);
      this.#tally.batchSeconds.observe((performance.now() - startedAt) / 1000);
    }
    return appended;
  }

  close(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#stream.close();
  }

  #resume(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    this.wake();
  }

  async #shipAll(): Promise<void> {
    try {
      for (;;) {
        if (this.#reconnected) await this.#checkForLoss();
        const shipment = this.#backlog.next();
        if (shipment === null) return;
        if (!(await this.#ship(shipment))) break;
      }
    } catch (error) {
      // A segment that cannot be read or a cursor that cannot be written: tried again, like everything else.
      this.#fault = `the spool: ${error instanceof Error ? error.message : error}`;
    }
    this.#retry = setTimeout(() => this.#resume(), this.#pause);
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
  }

  async #ship(shipment: Shipment): Promise<boolean> {
    const { lastId, fault } =
      shipment.events.count === 0 ? { lastId: '', fault: null } : await this.append(shipment.events);
    if (lastId === null) {
      this.#fault = fault;
      shipment.failed(!UNCERTAIN.test(fault ?? ''));
      return false;
    }
    shipment.taken(lastId);
    this.#fault = null;
    this.#pause = FIRST_PAUSE;
    if (lastId !== '') this.#mark(lastId);
    return true;
  }

  #mark(id: string): void {
    const spool = this.#backlog.spool;
    // What never was in the spool cannot be sent again.
    if (spool === null || spool.progress.lastId !== id) return;
    const at = Date.now();
    const before = this.#marks.at(-2);
    if (before !== undefined && at - before.at < MARK_INTERVAL) this.#marks.pop();
    this.#marks.push({ id, position: spool.progress.position, at });
    if (at - (this.#marks[0]?.at ?? at) > this.#retention) this.#marks.shift();
  }

  /**
   * A server that was restarted, or a replica that took over, may not have what its predecessor had
   * acknowledged. Then the spool is read again from the last entry that is still there.
   */
  async #checkForLoss(): Promise<void> {
    this.#reconnected = false;
    const spool = this.#backlog.spool;
    if (spool === null) return;
    const { lastId, position } = spool.progress;
    if (lastId === '' || (await this.#stream.holds(lastId))) return;
    for (let mark = this.#marks.pop(); mark !== undefined; mark = this.#marks.pop()) {
      if (!isBefore(mark.position, position) || !(await this.#stream.holds(mark.id))) continue;
      this.#marks.push(mark);
      this.#backlog.lost(mark.position);
      return;
    }
    this.#backlog.lost(null);
  }
}
