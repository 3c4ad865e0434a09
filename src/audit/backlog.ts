import type { Facts } from './facts.ts';
import { type FramedEvents, FrameWriter } from './frame-writer.ts';
import { Fresh } from './fresh.ts';
import type { Scribe, Source } from './scribe.ts';
import { isBefore, type Position } from './segments.ts';
import type { Spool } from './spool.ts';
import type { Tally } from './tally.ts';
import { Unlogged, type UnloggedBatch } from './unlogged.ts';

/** Events travel to the stream in batches of about so many: three milliseconds of Redis's time. */
const SHIPMENT_MAX = 1024;

/** Events on their way to the stream, and what to do once it has answered. */
export interface Shipment {
  readonly events: FramedEvents;
  /** The stream has taken them; `lastId` is the last one's. */
  taken(lastId: string): void;
  /** @param certain whether it is known that none of them arrived */
  failed(certain: boolean): void;
}

/**
 * Everything not yet acknowledged, oldest first: the spool, whose newest part is also in memory while the
 * stream keeps up, then what the disk would not take. Events leave in the order of their chain, always.
 */
export class Backlog {
  readonly #scribe: Scribe;
  readonly #tally: Tally;
  readonly #unlogged: Unlogged;
  readonly #kept: boolean;
  /** Null while the folder cannot be used. */
  #spool: Spool | null = null;
  readonly #fresh = new Fresh();
  readonly #writer = new FrameWriter();
  /** Whether the spool holds events behind the fresh ones that are not in memory. */
  #behind = false;
  #behindSince = 0;
  /** Up to here the stream had acknowledged before it lost events again. */
  #resendUntil: Position = { segment: 0, offset: 0 };
  /** Why the disk does not take events; null where it does. */
  fault: string | null = null;

  /**
   * @param options.unloggedMax events held at most while no disk takes them
   * @param options.kept embedded mode: the spool is where events stay
   */
  constructor(scribe: Scribe, tally: Tally, options: { unloggedMax: number; kept: boolean }) {
    this.#scribe = scribe;
    this.#tally = tally;
    this.#unlogged = new Unlogged(options.unloggedMax);
    this.#kept = options.kept;
  }

  get spool(): Spool | null {
    return this.#spool;
  }

  /** Takes a spool into use; what it holds is shipped first. */
  use(spool: Spool): void {
    this.#spool = spool;
    this.#behind = spool.hasUnsent && !this.#kept;
    this.#behindSince = Date.now();
  }

  /** Puts events and promises on disk, or else holds the events in memory. Gives whether they are on disk. */
  add(sources: readonly Source[]): boolean {
    const stored = this.#storeUnlogged() && this.#store(sources);
    if (!stored) {
      const events = sources.filter((source) => !isIntent(source));
      const held = this.#unlogged.add(events)?.sources.length ?? 0;
      this.#tally.add('dropped', events.length - held);
    }
    this.#measure();
    return stored;
  }

  /** Holds events in memory, to be shipped in their turn; null where there is no room for all of them. */
  addUnlogged(sources: readonly Source[]): UnloggedBatch | null {
    return sources.length > this.#unlogged.room ? null : this.#unlogged.add(sources);
  }

  /** What became of a batch of {@link addUnlogged}. One that certainly has not arrived is taken back. */
  settle(batch: UnloggedBatch): 'taken' | 'unknown' | 'withdrawn' {
    if (!this.#unlogged.holds(batch)) return 'taken';
    if (batch.fixed !== null) return 'unknown';
    this.#unlogged.remove(batch);
    return 'withdrawn';
  }

  /** Tries to put on disk what it would not take before. */
  storeUnlogged(): boolean {
    const stored = this.#storeUnlogged();
    this.#measure();
    return stored;
  }

  /** The oldest events not acknowledged; null where there are none. Ask again only once they are settled. */
  next(): Shipment | null {
    if (this.#kept) return null;
    return this.#nextResent() ?? this.#nextFresh() ?? this.#nextSpooled() ?? this.#nextUnlogged();
  }

  /** The stream has lost what it had acknowledged after `position` (null: all of it). */
  lost(position: Position | null): void {
    const spool = this.#spool;
    if (spool === null) return;
    this.park();
    const acknowledged = spool.progress.position;
    if (isBefore(this.#resendUntil, acknowledged)) this.#resendUntil = acknowledged;
    spool.rewind(position);
  }

  /** The end: what is only in memory is lost and counted. */
  abandon(): void {
    this.#storeUnlogged();
    this.park();
    this.#tally.add('dropped', this.#unlogged.clear());
    this.#measure();
  }

  #store(sources: readonly Source[]): boolean {
    const spool = this.#spool;
    if (spool === null) {
      this.fault ??= 'the folder of the spool cannot be used';
      return false;
    }
    const mark = this.#scribe.chain.mark();
    const intents = sources.filter(isIntent);
    let events: FramedEvents;
    try {
      events = this.#write(sources.filter((source) => !isIntent(source)));
      for (const intent of intents) {
        this.#scribe.promise(intent, this.#writer);
        spool.promise(intent.eventId, this.#writer.last);
      }
      for (const source of sources) if (!('promise' in source) && !source.intent) spool.keep(source.eventId);
      // What was promised is on the disk itself, so that not even a power cut takes it.
      spool.append(this.#writer.bytes, intents.length > 0);
    } catch (error) {
      this.#scribe.chain.reset(mark);
      for (const { eventId } of intents) spool.keep(eventId);
      this.fault = error instanceof Error ? error.message : String(error);
      return false;
    }
    this.fault = null;
    this.#stored(events, spool.end);
    return true;
  }

  /** Gives the next events of the chain; valid until the next are written. */
  #write(sources: readonly Source[]): FramedEvents {
    this.#writer.clear();
    for (const source of sources) this.#scribe.write(source, this.#writer);
    return { count: sources.length, bytes: this.#writer.bytes };
  }

  #stored(events: FramedEvents, end: Position): void {
    if (events.count === 0) return;
    if (this.#kept) this.#tally.add('written', events.count);
    else if (this.#behind || !this.#fresh.add(events, end)) {
      if (!this.#behind) this.#behindSince = Date.now();
      this.#behind = true;
      this.#tally.add('spooled', events.count);
    }
  }

  #storeUnlogged(): boolean {
    if (this.#unlogged.inFlight) return false;
    for (let batch = this.#unlogged.oldest; batch !== undefined; batch = this.#unlogged.oldest) {
      const stored = batch.fixed === null ? this.#store(batch.sources) : this.#storeFixed(batch.fixed);
      if (!stored) return false;
      this.#unlogged.remove(batch);
    }
    return true;
  }

  #storeFixed(events: FramedEvents): boolean {
    const spool = this.#spool;
    if (spool === null) return false;
    try {
      spool.append(events.bytes, false);
    } catch {
      return false; // the fault is known from the attempt before
    }
    this.#stored(events, spool.end);
    return true;
  }

  #nextResent(): Shipment | null {
    const spool = this.#spool;
    if (spool === null || !isBefore(spool.progress.position, this.#resendUntil)) return null;
    const found = spool.read(this.#resendUntil);
    if (found === null) return null;
    return {
      events: found.events,
      taken: (lastId) => {
        spool.acknowledge(found.end, lastId);
        this.#tally.add('resent', found.events.count);
        this.#measure();
      },
      failed: () => {},
    };
  }

  #nextFresh(): Shipment | null {
    const spool = this.#spool;
    const found = this.#fresh.oldest(SHIPMENT_MAX);
    if (found === null || spool === null) return null;
    return {
      events: found.events,
      taken: (lastId) => {
        this.#fresh.shift(found.batches);
        spool.acknowledge(found.end, lastId);
        this.#tally.add('written', found.events.count);
        this.#measure();
      },
      failed: () => this.park(),
    };
  }

  #nextSpooled(): Shipment | null {
    const spool = this.#spool;
    if (spool === null || !this.#behind) return null;
    const found = spool.read(spool.end);
    // What comes from now on is in memory again, behind what was read.
    if (found === null || !isBefore(found.end, spool.end)) this.#behind = false;
    if (found === null) return null;
    this.#behindSince = startOf(found.events) ?? this.#behindSince;
    return {
      events: found.events,
      taken: (lastId) => {
        spool.acknowledge(found.end, lastId);
        this.#tally.add('replayed', found.events.count);
        if (found.inherited) this.#tally.add('adopted', found.events.count);
        // Events of a predecessor that cannot be read were never counted; our own count as waiting.
        if (!this.#behind) this.#tally.add('unreadable', this.#tally.onDisk);
        this.#measure();
      },
      failed: () => {
        this.park();
        this.#behind = true;
      },
    };
  }

  #nextUnlogged(): Shipment | null {
    const batch = this.#unlogged.oldest;
    if (batch === undefined) return null;
    const mark = this.#scribe.chain.mark();
    const wasFixed = batch.fixed !== null;
    const events = batch.fixed ?? copyOf(this.#write(batch.sources));
    batch.fixed = events;
    this.#unlogged.inFlight = true;
    return {
      events,
      taken: () => {
        this.#unlogged.inFlight = false;
        this.#unlogged.remove(batch);
        this.#tally.add('written', events.count);
        this.#measure();
      },
      failed: (certain) => {
        this.#unlogged.inFlight = false;
        if (!certain || wasFixed) return;
        // Nothing was chained meanwhile: what came waits behind these.
        this.#scribe.chain.reset(mark);
        batch.fixed = null;
      },
    };
  }

  /** What is also in the spool need not be in memory while the stream does not take it. */
  park(): void {
    const { since } = this.#fresh;
    if (since === null) return;
    if (!this.#behind) this.#behindSince = since;
    this.#behind = true;
    this.#tally.add('spooled', this.#fresh.clear());
    this.#measure();
  }

  #measure(): void {
    this.#tally.set('memory', this.#fresh.count + this.#unlogged.count);
    this.#tally.set('spoolBytes', this.#spool?.size ?? 0);
    const oldest = this.#fresh.since ?? (this.#behind ? this.#behindSince : this.#unlogged.oldest?.at);
    this.#tally.set('oldestUnsent', oldest ?? 0);
  }
}

function isIntent(source: Source): source is Facts & { readonly intent: true } {
  return !('promise' in source) && source.intent;
}

function copyOf({ count, bytes }: FramedEvents): FramedEvents {
  return { count, bytes: Buffer.from(bytes) };
}

/** When the request of the first event began, in epoch milliseconds. */
function startOf({ bytes }: FramedEvents): number | null {
  const [, timestamp = ''] = /"timestamp":"([^"]*)"/.exec(bytes.toString('latin1', 0, 512)) ?? [];
  const time = Date.parse(timestamp);
  return Number.isNaN(time) ? null : time;
}
