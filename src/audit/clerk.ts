import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { Backlog } from './backlog.ts';
import { Chain } from './chain.ts';
import { countOf, type Facts, type PackedFacts, unpack } from './facts.ts';
import { frame } from './frame.ts';
import { Orphans } from './orphans.ts';
import { legacyOf } from './recovery.ts';
import { Scribe } from './scribe.ts';
import { Shipper } from './shipper.ts';
import { AuditSigner } from './signature.ts';
import { instanceName, Slot } from './slot.ts';
import { Spool, type SpoolOptions } from './spool.ts';
import { Tally } from './tally.ts';
import type { ThreadOptions, ThreadReply } from './thread-options.ts';

/** At the start the stream gets so long to be connected. Milliseconds. */
const FIRST_CHANCE = 500;

/** At the end the stream gets so long to take what is left; the rest stays on disk. Milliseconds. */
const LAST_CHANCE = 5_000;

/** The thread's part of the trail: writes events down, ships them, and looks after what others left. */
export class Clerk {
  readonly #options: ThreadOptions;
  readonly #spoolOptions: SpoolOptions;
  readonly #signer: AuditSigner;
  readonly #tally: Tally;
  readonly #scribe: Scribe;
  readonly #backlog: Backlog;
  readonly #shipper: Shipper | null;
  readonly #orphans: Orphans;
  /** Ids of events that went to the stream before their end was known; the end is not told any more. */
  readonly #sentEarly = new Set<string>();
  #visit: Promise<void> | null = null;
  #folderFault: string | null = null;

  constructor(options: ThreadOptions) {
    this.#options = options;
    this.#signer = new AuditSigner(options.jwtSecret);
    this.#tally = new Tally(options.tally);
    const { folder, redisUrl, retention, strict } = options;
    const opened = this.#openSlot();
    const worker = `${opened?.instance ?? randomBytes(4).toString('hex')}.${opened?.slot.name.slice(7) ?? 0}.${Date.now().toString(36)}`;
    const legacy = opened === null ? null : legacyOf(opened.slot.folder, this.#signer);
    const chain = new Chain(worker, legacy?.last ?? null);
    this.#scribe = new Scribe(chain, this.#signer);
    this.#spoolOptions = {
      max: options.spoolMax,
      retention,
      header: () => JSON.stringify({ worker, ...chain.mark(), strict }),
    };
    this.#backlog = new Backlog(this.#scribe, this.#tally, {
      unloggedMax: options.backlogMax,
      kept: redisUrl === null,
    });
    this.#orphans = new Orphans(folder, this.#spoolOptions, this.#signer, this.#tally);
    this.#shipper = redisUrl === null ? null : new Shipper(redisUrl, this.#backlog, this.#tally, retention);
    if (opened !== null) {
      this.#backlog.use(new Spool(opened.slot, this.#spoolOptions));
      this.#adopt(legacy?.broken ?? []);
    }
  }

  /** Takes a batch. Answers at once, but where promises have to be kept by the stream. */
  take(packed: PackedFacts): ThreadReply | Promise<ThreadReply> {
    const sources: Facts[] = [];
    let promises = false;
    for (let i = 0, count = countOf(packed); i < count; i++) {
      const facts = unpack(packed, i);
      if (facts.intent) promises = true;
      else if (this.#sentEarly.size > 0 && this.#sentEarly.delete(facts.eventId)) continue;
      sources.push(facts);
    }
    const stored = this.#backlog.add(sources);
    this.#shipper?.wake();
    return stored || !promises
      ? this.#reply(true)
      : this.#keepByStream(sources.filter(({ intent }) => intent));
  }

  /** Gives the stream a moment to be connected, so that the first events need not wait on disk. */
  async open(): Promise<ThreadReply> {
    await this.#shipper?.connected(FIRST_CHANCE);
    return this.#reply(true);
  }

  /** What has to be done from time to time. */
  tick(): ThreadReply {
    this.#reopen();
    const { spool } = this.#backlog;
    try {
      spool?.measureOthers();
      if (this.#shipper !== null) spool?.removeExpired();
      // A disk that failed is asked again with the next events, or, where these are refused, with a header.
      if (this.#backlog.fault !== null && this.#backlog.storeUnlogged()) this.#probe();
    } catch (error) {
      this.#folderFault = `${error}`;
    }
    this.#shipper?.wake();
    void this.#visitOrphans();
    return this.#reply(true);
  }

  /** Whether something waits for the stream in this worker's own slot. */
  get hasUnsent(): boolean {
    return this.#backlog.spool?.hasUnsent === true || this.#tally.get('memory') > 0;
  }

  /** Resolves once the visit to dead workers' slots that is under way has ended. */
  async visited(): Promise<void> {
    await this.#visit;
  }

  /** Ships what it can; what is not shipped stays on disk. */
  async close(): Promise<ThreadReply> {
    const deadline = Date.now() + LAST_CHANCE;
    await this.#shipper?.drain(LAST_CHANCE);
    // Nobody may be left to do it.
    const left = () => Math.max(0, deadline - Date.now());
    await Promise.race([this.#visitOrphans(), setTimeout(left())]);
    await this.#shipper?.drain(left());
    this.#backlog.abandon();
    this.#shipper?.close();
    const { spool } = this.#backlog;
    spool?.close(this.#shipper !== null && !spool.hasUnsent);
    return this.#reply(true);
  }

  /** Without a disk, a promise is kept once the stream has it as an event whose end is not known. */
  async #keepByStream(promises: readonly Facts[]): Promise<ThreadReply> {
    const shipper = this.#shipper;
    if (shipper === null || shipper.fault !== null) return this.#reply(false);
    const batch = this.#backlog.addUnlogged(
      promises.map((facts) => ({ ...facts, intent: false, open: true })),
    );
    if (batch === null) return this.#reply(false);
    await shipper.settled();
    const outcome = this.#backlog.settle(batch);
    if (outcome !== 'withdrawn') for (const { eventId } of promises) this.#sentEarly.add(eventId);
    return this.#reply(outcome === 'taken');
  }

  #adopt(promises: readonly string[]): void {
    if (promises.length === 0) return;
    this.#tally.add('recovered', promises.length);
    this.#backlog.add(promises.map((promise) => ({ promise })));
  }

  /** Ships what dead workers left; a visit that is under way is joined. */
  #visitOrphans(): Promise<void> {
    this.#visit ??= this.#visitAll().finally(() => {
      this.#visit = null;
    });
    return this.#visit;
  }

  async #visitAll(): Promise<void> {
    const own = this.#backlog.spool?.slot.name;
    if (own === undefined || this.#shipper === null || this.#shipper.fault !== null) return;
    try {
      await this.#orphans.ship(own, this.#shipper, (promises) => this.#adopt(promises));
    } catch (error) {
      this.#folderFault = `${error}`;
    }
  }

  #openSlot(): { instance: string; slot: Slot } | null {
    try {
      const { folder } = this.#options;
      const opened = { instance: instanceName(folder), slot: Slot.claim(folder) };
      this.#folderFault = null;
      return opened;
    } catch (error) {
      this.#folderFault = error instanceof Error ? error.message : String(error);
      return null;
    }
  }

  /** A folder that could not be used at the start may have become usable. */
  #reopen(): void {
    if (this.#backlog.spool !== null) return;
    const opened = this.#openSlot();
    if (opened === null) return;
    try {
      this.#backlog.use(new Spool(opened.slot, this.#spoolOptions));
    } catch (error) {
      opened.slot.release();
      this.#folderFault = `${error}`;
    }
  }

  #probe(): void {
    const { spool } = this.#backlog;
    if (spool === null) return;
    spool.append(Buffer.from(frame('h', this.#spoolOptions.header())), false);
    this.#backlog.fault = null;
  }

  #reply(kept: boolean): ThreadReply {
    const diskFault = this.#backlog.fault ?? (this.#backlog.spool === null ? this.#folderFault : null);
    const streamFault = this.#shipper?.fault ?? null;
    const healthy = diskFault === null || (this.#shipper !== null && streamFault === null);
    return { kept, healthy, diskFault, streamFault };
  }
}
