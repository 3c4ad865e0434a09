import type { LRUCache } from 'lru-cache';
import type { HolderKeys } from './keys.ts';
import { lru } from './lru.ts';
import type { SharedReading, SharedStore } from './shared-store.ts';
import type { Watermark, Watermarks } from './watermarks.ts';

/** How long a refusal is remembered, so that a flood of one bad token costs its engine nothing. Milliseconds. */
const REFUSAL_TTL = 5_000;

/** How many refusals are remembered. They have a space of their own and never evict a good entry. */
const REFUSALS_MAX = 10_000;

/** A load is begun again when a revocation arrives while it runs; this often, then it is given up. */
const MAX_LOADS = 10;

/** An authority that could not be asked in the background is tried again after so long. Milliseconds. */
const REFRESH_RETRY = 1_000;

/** What a load found out. */
export interface Learnt<V> {
  readonly value: V;
  /** Epoch milliseconds until which the value holds; 0: the authority could not be asked. */
  readonly validUntil: number;
  /** Whether the value is a refusal. Refusals are kept briefly, in this process only. */
  readonly refused: boolean;
}

/** How a value that is not in L1 is found. */
export interface Question<V> {
  /** Whose revocation outdates the value: `user:42`. */
  readonly holder: string;
  /** `jti` of the token the value was learnt from, where its own revocation counts too. */
  readonly jti: string | null;
  /** Digest that names the record in L2. */
  readonly digest: string;
  readonly keys: HolderKeys;
  /** Asks the authority. Must not throw for a refusal. */
  ask(): Promise<Learnt<V>>;
  /** What to answer when IAM's blacklist names the token. */
  blacklisted(): V;
  encode(value: V): string;
  /** Null where the content is not readable (of another version, say): counts as a miss. */
  decode(content: string): V | null;
}

/** From which moment on knowledge may be trusted; see `RevocationChannel`. */
export interface Trust {
  /** Milliseconds that knowledge is good for while nobody tells of revocations. */
  readonly window: number;
  /** Epoch milliseconds: what was learnt earlier must be asked again. */
  floor(now: number): number;
}

/** Something known, and for how long. */
export interface Entry<V> {
  readonly value: V;
  /** Epoch milliseconds at which its authority was asked. */
  readonly learntAt: number;
  readonly validUntil: number;
  /** Epoch milliseconds from which a user of the entry should call {@link TwoTierCache.refresh}. */
  refreshAt: number;
  readonly holder: Watermark;
  readonly holderCount: number;
  readonly token: Watermark | null;
  readonly tokenCount: number;
}

/** Lookups by result, read by the metrics. */
export type CacheCounts = Record<
  'l1Hit' | 'l1Miss' | 'l2Hit' | 'l2Miss' | 'l2Stale' | 'l2Forged' | 'l2Error',
  number
>;

/** How questions of the background ended. */
export type RecheckResult = 'confirmed' | 'refused' | 'unavailable';

/**
 * An LRU in this process before records in Redis before an authority. Concurrent misses of a key share one
 * load; an answer that a revocation overtook is never kept and never served.
 */
export class TwoTierCache<V> {
  readonly counts: CacheCounts = {
    l1Hit: 0,
    l1Miss: 0,
    l2Hit: 0,
    l2Miss: 0,
    l2Stale: 0,
    l2Forged: 0,
    l2Error: 0,
  };
  readonly rechecks: Record<RecheckResult, number> = { confirmed: 0, refused: 0, unavailable: 0 };
  readonly #kind: string;
  readonly #ttl: number;
  readonly #maxAge: number;
  readonly #marks: Watermarks;
  readonly #trust: Trust;
  readonly #shared: SharedStore | null;
  readonly #entries: LRUCache<string, Entry<V>>;
  readonly #refusals: LRUCache<string, Entry<V>>;
  readonly #loads = new Map<string, Promise<V>>();

  /**
   * @param options.kind names the records in Redis
   * @param options.ttl milliseconds a value may be kept at most; 0: never
   * @param options.maxAge milliseconds after which the authority is asked again, although the value may still
   *   serve while the authority is away; infinite without
   * @param options.max entries in L1
   */
  constructor(options: {
    kind: string;
    ttl: number;
    maxAge?: number;
    max: number;
    marks: Watermarks;
    trust: Trust;
    shared: SharedStore | null;
  }) {
    this.#kind = options.kind;
    this.#ttl = options.ttl;
    this.#maxAge = options.maxAge ?? Number.POSITIVE_INFINITY;
    this.#marks = options.marks;
    this.#trust = options.trust;
    this.#shared = options.shared;
    const dispose = (entry: Entry<V>) => this.#release(entry);
    this.#entries = lru(options.max, { dispose });
    this.#refusals = lru(REFUSALS_MAX, { dispose });
  }

  /**
   * What is known of `key`, if this process may still act on it. Synchronous: the hot path ends here.
   * @param now epoch milliseconds
   */
  peek(key: string, now: number): Entry<V> | undefined {
    const entry = this.#entries.get(key);
    if (entry !== undefined && this.#fresh(entry, now)) {
      this.counts.l1Hit++;
      return entry;
    }
    this.counts.l1Miss++;
    return undefined;
  }

  /** Whether {@link peek} would give something; counts nothing and leaves the order of eviction alone. */
  has(key: string, now: number): boolean {
    const entry = this.#entries.peek(key);
    return entry !== undefined && this.#fresh(entry, now);
  }

  /** Finds the value of `key` past L1's good entries: remembered refusals, L2, then the authority. */
  find(key: string, question: Question<V>): Promise<V> {
    const refusal = this.#refusals.get(question.digest);
    if (refusal !== undefined && this.#current(refusal, Date.now())) return Promise.resolve(refusal.value);
    return this.#loads.get(key) ?? this.#begin(key, question, this.#maxAge);
  }

  /** Asks about an entry again before it is too old, so that no request has to wait for it. */
  refresh(key: string, entry: Entry<V>, question: Question<V>): void {
    if (this.#loads.has(key)) return;
    entry.refreshAt = Number.POSITIVE_INFINITY;
    this.#begin(key, question, this.#maxAge / 2).then(
      () => {
        const known = this.#entries.peek(key);
        this.rechecks[known === undefined ? 'refused' : known === entry ? 'unavailable' : 'confirmed']++;
        if (known === entry) entry.refreshAt = Date.now() + REFRESH_RETRY;
      },
      () => this.rechecks.unavailable++, // the entry ages, and the next request asks for itself
    );
  }

  #begin(key: string, question: Question<V>, maxAge: number): Promise<V> {
    const load = this.#load(key, question, maxAge).finally(() => this.#loads.delete(key));
    this.#loads.set(key, load);
    return load;
  }

  /** Not ended and not revoked. */
  #current(entry: Entry<V>, now: number): boolean {
    return (
      now < entry.validUntil &&
      entry.holder.count === entry.holderCount &&
      (entry.token === null || entry.token.count === entry.tokenCount)
    );
  }

  /** Current, and no revocation of it can have been missed for longer than the bound. */
  #trusted(entry: Entry<V>, now: number): boolean {
    return this.#current(entry, now) && entry.learntAt >= this.#trust.floor(now);
  }

  #fresh(entry: Entry<V>, now: number): boolean {
    return this.#trusted(entry, now) && now - entry.learntAt < this.#maxAge;
  }

  async #load(key: string, question: Question<V>, maxAge: number): Promise<V> {
    const holder = this.#marks.hold(question.holder);
    const token = question.jti === null ? null : this.#marks.hold(`jti:${question.jti}`);
    try {
      for (let load = 0; load < MAX_LOADS; load++) {
        const holderCount = holder.count;
        const tokenCount = token?.count ?? 0;
        const epoch = this.#marks.epoch;
        const { learnt, learntAt } = await this.#learn(question, maxAge);
        // Revoked, or the channel was renewed and may have missed it: the answer is outdated already.
        if (holder.count !== holderCount || (token?.count ?? 0) !== tokenCount) continue;
        if (this.#marks.epoch !== epoch) continue;
        if (learnt.validUntil === 0) return this.#standIn(key) ?? learnt.value;
        this.#keep(key, question, { learnt, learntAt, holderCount, tokenCount });
        return learnt.value;
      }
      throw new Error('revoked again and again while asking');
    } finally {
      this.#marks.release(holder);
      if (token !== null) this.#marks.release(token);
    }
  }

  /** What is still trusted although it should have been asked about again, while the authority is away. */
  #standIn(key: string): V | undefined {
    const entry = this.#entries.peek(key);
    return entry !== undefined && this.#trusted(entry, Date.now()) ? entry.value : undefined;
  }

  async #learn(question: Question<V>, maxAge: number): Promise<{ learnt: Learnt<V>; learntAt: number }> {
    const startedAt = Date.now();
    if (this.#shared === null) return { learnt: await question.ask(), learntAt: startedAt };
    const recordKey = question.keys.record(this.#kind, question.digest);
    const reading = await this.#shared.read(question.keys, recordKey, question.jti);
    if (reading.blacklisted) {
      const value = question.blacklisted();
      return { learnt: { value, validUntil: Infinity, refused: true }, learntAt: startedAt };
    }
    const recordedAt = startedAt - reading.age;
    const known = this.#recorded(question, reading);
    const floor = Math.max(this.#trust.floor(startedAt), startedAt - maxAge);
    if (known !== null && known.validUntil > startedAt && recordedAt >= floor) {
      this.counts.l2Hit++;
      return { learnt: known, learntAt: recordedAt };
    }
    this.#countMiss(reading);

    const askedAt = Date.now();
    const learnt = await question.ask();
    const now = Date.now();
    const ttl = Math.min(this.#ttl, learnt.validUntil - now);
    if (!learnt.refused && ttl > 0 && reading.mark !== null) {
      // Not awaited: the request need not wait for the store, and a lost race is the script's business.
      void this.#shared.write(question.keys, recordKey, {
        mark: reading.mark,
        content: `${learnt.validUntil} ${question.encode(learnt.value)}`,
        spent: now - askedAt,
        ttl,
      });
    } else if (learnt.refused && learnt.validUntil !== 0 && reading.content !== null) {
      // Nobody announced it: without this, other workers would go on taking the record.
      void this.#shared.raiseMark(question.keys);
    }
    return { learnt, learntAt: askedAt };
  }

  #recorded(question: Question<V>, { content }: SharedReading): Learnt<V> | null {
    if (content === null) return null;
    const space = content.indexOf(' ');
    const value = question.decode(content.slice(space + 1));
    return value === null ? null : { value, validUntil: Number(content.slice(0, space)), refused: false };
  }

  #countMiss({ result }: SharedReading): void {
    if (result === 'error') this.counts.l2Error++;
    else if (result === 'forged') this.counts.l2Forged++;
    else if (result === 'miss') this.counts.l2Miss++;
    else this.counts.l2Stale++;
  }

  #keep(
    key: string,
    question: Question<V>,
    known: { learnt: Learnt<V>; learntAt: number; holderCount: number; tokenCount: number },
  ): void {
    const { value, validUntil, refused } = known.learnt;
    if (refused) this.#entries.delete(key);
    const until = Math.min(known.learntAt + (refused ? REFUSAL_TTL : this.#ttl), validUntil);
    const now = Date.now();
    if (until <= now) return;
    // Refusals go by digest: a flood of 8 KB tokens must not fill the memory.
    (refused ? this.#refusals : this.#entries).set(refused ? question.digest : key, {
      value,
      learntAt: known.learntAt,
      validUntil: until,
      refreshAt: this.#refreshAt(known.learntAt, now),
      holder: this.#marks.hold(question.holder),
      holderCount: known.holderCount,
      token: question.jti === null ? null : this.#marks.hold(`jti:${question.jti}`),
      tokenCount: known.tokenCount,
    });
  }

  /** Spread over a third of the age allowed, so that what was learnt together is not asked again together. */
  #refreshAt(learntAt: number, now: number): number {
    const windowed = this.#trust.floor(now) >= now - this.#trust.window;
    const age = windowed ? Math.min(this.#maxAge, this.#trust.window) : this.#maxAge;
    return learntAt + age * (0.4 + Math.random() / 3);
  }

  #release(entry: Entry<V>): void {
    this.#marks.release(entry.holder);
    if (entry.token !== null) this.#marks.release(entry.token);
  }
}
