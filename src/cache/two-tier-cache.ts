import { LRUCache } from 'lru-cache';
import type { HolderKeys } from './keys.ts';
import type { SharedStore } from './shared-store.ts';
import type { Watermark, Watermarks } from './watermarks.ts';

/** How long a refusal is remembered, so that a flood of one bad token costs its engine nothing. Milliseconds. */
const REFUSAL_TTL = 5_000;

/** How many refusals are remembered. They have a space of their own and never evict a good entry. */
const REFUSALS_MAX = 10_000;

/** A load is begun again when a revocation arrives while it runs; this often, then it is given up. */
const MAX_LOADS = 3;

/** What a load found out. */
export interface Learnt<V> {
  readonly value: V;
  /** Epoch milliseconds until which the value holds; 0: it must not be kept. */
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
  /** Epoch milliseconds: what was learnt earlier must be asked again. */
  floor(now: number): number;
}

interface Entry<V> {
  readonly value: V;
  readonly learntAt: number;
  readonly validUntil: number;
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
  readonly #kind: string;
  readonly #ttl: number;
  readonly #marks: Watermarks;
  readonly #trust: Trust;
  readonly #shared: SharedStore | null;
  readonly #entries: LRUCache<string, Entry<V>>;
  readonly #refusals: LRUCache<string, Entry<V>>;
  readonly #loads = new Map<string, Promise<V>>();

  /**
   * @param options.kind names the records in Redis
   * @param options.ttl milliseconds a value may be kept at most; 0: never
   * @param options.max entries in L1
   */
  constructor(options: {
    kind: string;
    ttl: number;
    max: number;
    marks: Watermarks;
    trust: Trust;
    shared: SharedStore | null;
  }) {
    this.#kind = options.kind;
    this.#ttl = options.ttl;
    this.#marks = options.marks;
    this.#trust = options.trust;
    this.#shared = options.shared;
    const dispose = (entry: Entry<V>) => this.#release(entry);
    this.#entries = new LRUCache({ max: options.max, dispose });
    this.#refusals = new LRUCache({ max: REFUSALS_MAX, dispose });
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * The value of `key` if this process may still serve it. Synchronous: the hot path ends here.
   * @param now epoch milliseconds
   */
  peek(key: string, now: number): V | undefined {
    const entry = this.#entries.get(key);
    if (entry !== undefined && this.#holds(entry, now)) {
      this.counts.l1Hit++;
      return entry.value;
    }
    this.counts.l1Miss++;
    return undefined;
  }

  /** Finds the value of `key` past L1's good entries: remembered refusals, L2, then the authority. */
  find(key: string, question: Question<V>): Promise<V> {
    const refusal = this.#refusals.get(question.digest);
    if (refusal !== undefined && this.#holds(refusal, Date.now())) return Promise.resolve(refusal.value);
    const running = this.#loads.get(key);
    if (running !== undefined) return running;
    const load = this.#load(key, question).finally(() => this.#loads.delete(key));
    this.#loads.set(key, load);
    return load;
  }

  #holds(entry: Entry<V>, now: number): boolean {
    return (
      now < entry.validUntil &&
      entry.holder.count === entry.holderCount &&
      (entry.token === null || entry.token.count === entry.tokenCount) &&
      entry.learntAt >= this.#trust.floor(now)
    );
  }

  async #load(key: string, question: Question<V>): Promise<V> {
    const holder = this.#marks.hold(question.holder);
    const token = question.jti === null ? null : this.#marks.hold(`jti:${question.jti}`);
    try {
      for (let load = 0; load < MAX_LOADS; load++) {
        const holderCount = holder.count;
        const tokenCount = token?.count ?? 0;
        const startedAt = Date.now();
        const { learnt, age } = await this.#learn(question, startedAt);
        if (holder.count !== holderCount || (token?.count ?? 0) !== tokenCount) continue;
        this.#keep(key, question, {
          value: learnt,
          learntAt: startedAt - age,
          holderCount,
          tokenCount,
        });
        return learnt.value;
      }
      throw new Error('revoked again and again while asking');
    } finally {
      this.#marks.release(holder);
      if (token !== null) this.#marks.release(token);
    }
  }

  async #learn(question: Question<V>, now: number): Promise<{ learnt: Learnt<V>; age: number }> {
    if (this.#shared === null) return { learnt: await question.ask(), age: 0 };
    const recordKey = question.keys.record(this.#kind, question.digest);
    const reading = await this.#shared.read(question.keys, recordKey, question.jti);
    if (reading.blacklisted) {
      return { learnt: { value: question.blacklisted(), validUntil: Infinity, refused: true }, age: 0 };
    }
    if (reading.content !== null && now - reading.age >= this.#trust.floor(now)) {
      const known = this.#decode(question, reading.content);
      if (known !== null && known.validUntil > now) {
        this.counts.l2Hit++;
        return { learnt: known, age: reading.age };
      }
    }
    if (reading.result === 'error') this.counts.l2Error++;
    else if (reading.result === 'forged') this.counts.l2Forged++;
    else if (reading.result === 'miss') this.counts.l2Miss++;
    else this.counts.l2Stale++;

    const learnt = await question.ask();
    const ttl = Math.min(this.#ttl, learnt.validUntil - Date.now());
    if (!learnt.refused && ttl > 0 && reading.mark !== null) {
      const content = `${learnt.validUntil} ${question.encode(learnt.value)}`;
      // Not awaited: the request need not wait for the store, and a lost race is the script's business.
      void this.#shared.write(question.keys, recordKey, reading.mark, content, ttl);
    }
    return { learnt, age: 0 };
  }

  #decode(question: Question<V>, content: string): Learnt<V> | null {
    const space = content.indexOf(' ');
    const value = question.decode(content.slice(space + 1));
    return value === null ? null : { value, validUntil: Number(content.slice(0, space)), refused: false };
  }

  #keep(
    key: string,
    question: Question<V>,
    learnt: { value: Learnt<V>; learntAt: number; holderCount: number; tokenCount: number },
  ): void {
    const { value, validUntil, refused } = learnt.value;
    const ttl = refused ? REFUSAL_TTL : this.#ttl;
    const until = Math.min(learnt.learntAt + ttl, validUntil);
    if (until <= Date.now()) return;
    // Refusals go by digest: a flood of 8 KB tokens must not fill the memory.
    (refused ? this.#refusals : this.#entries).set(refused ? question.digest : key, {
      value,
      learntAt: learnt.learntAt,
      validUntil: until,
      holder: this.#marks.hold(question.holder),
      holderCount: learnt.holderCount,
      token: question.jti === null ? null : this.#marks.hold(`jti:${question.jti}`),
      tokenCount: learnt.tokenCount,
    });
  }

  #release(entry: Entry<V>): void {
    this.#marks.release(entry.holder);
    if (entry.token !== null) this.#marks.release(entry.token);
  }
}
