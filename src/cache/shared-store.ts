import type { RedisClient } from '../redis/open-redis.ts';
import type { HolderKeys } from './keys.ts';
import { blacklistKey } from './keys.ts';
import type { RecordSeal } from './record-seal.ts';

/** A mark must outlive every record that was written under it. Seconds. */
const MARK_TTL = 3600;

/** Stores a record only if its holder's mark is still the one noted before the load. */
const STORE_IF_UNMARKED = `
if (redis.call('GET', KEYS[2]) or '') == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return 1
end
return 0`;

/** So many commands in a row unanswered: the connection is dead, even if nobody said so. */
const DEAD_AFTER = 5;

/** What one round trip to Redis told about a record. */
export interface SharedReading {
  /** The record's content, if there is one with a right seal. */
  readonly content: string | null;
  /**
   * Milliseconds since the authority was asked: the time the question took by the writer's clock, the time
   * since by Redis's own, because clocks of gateways may differ.
   */
  readonly age: number;
  /** The holder's revocation mark, to be handed to {@link SharedStore.write}. Null: Redis did not answer. */
  readonly mark: string | null;
  /** Whether IAM's blacklist names the token. */
  readonly blacklisted: boolean;
  /** `forged`: a record was there without this gateway's seal. `stale`: its mark was outdated. */
  readonly result: 'hit' | 'miss' | 'forged' | 'stale' | 'error';
}

const UNREACHABLE: SharedReading = { content: null, age: 0, mark: null, blacklisted: false, result: 'error' };

/** L2: sealed records in Redis, each tied to its holder's revocation mark. Never throws. */
export class SharedStore {
  readonly #redis: RedisClient;
  readonly #seal: RecordSeal;
  /** Epoch milliseconds: records of earlier knowledge may have outlived a revocation. */
  #distrustBefore = 0;
  #timeouts = 0;

  constructor(redis: RedisClient, seal: RecordSeal) {
    this.#redis = redis;
    this.#seal = seal;
  }

  /** Reads record, mark and blacklist together. */
  async read(keys: HolderKeys, recordKey: string, jti: string | null): Promise<SharedReading> {
    if (this.#redis.status !== 'ready') return UNREACHABLE;
    try {
      // They leave in one write; they stay apart because in a cluster the blacklist is on another node.
      const [[sealed = null, mark = null], remaining, blacklisted] = await Promise.all([
        this.#redis.mget(recordKey, keys.mark),
        this.#redis.pttl(recordKey),
        jti === null ? null : this.#redis.get(blacklistKey(jti)),
      ]);
      this.#timeouts = 0;
      const known = { mark: mark ?? '', age: 0, blacklisted: blacklisted !== null };
      if (sealed === null) return { ...known, content: null, result: 'miss' };
      const content = this.#seal.open(recordKey, sealed);
      if (content === null) return { ...known, content: null, result: 'forged' };
      const [markAtFill, lifetime, spent, value = ''] = content.split('\n', 4);
      if (markAtFill !== known.mark) return { ...known, content: null, result: 'stale' };
      const age = Number(spent) + Math.max(0, Number(lifetime) - remaining);
      if (Date.now() - age <= this.#distrustBefore) return { ...known, content: null, result: 'stale' };
      return { ...known, content: value, age, result: 'hit' };
    } catch (error) {
      this.#failed(error);
      return UNREACHABLE; // counted by the caller as result "error"
    }
  }

  /**
   * Stores a record (one line of text), unless the holder was marked since `mark` was read.
   * @param spent milliseconds since the authority was asked
   * @param ttl milliseconds
   * @returns false where it was not stored
   */
  async write(
    keys: HolderKeys,
    recordKey: string,
    record: { mark: string; content: string; spent: number; ttl: number },
  ): Promise<boolean> {
    if (this.#redis.status !== 'ready') return false;
    const lifetime = Math.max(1, Math.floor(record.ttl));
    const { mark } = record;
    const text = `${mark}\n${lifetime}\n${Math.ceil(record.spent)}\n${record.content}`;
    const sealed = this.#seal.close(recordKey, text);
    try {
      const stored = await this.#redis.eval(
        STORE_IF_UNMARKED,
        2,
        recordKey,
        keys.mark,
        mark,
        sealed,
        lifetime,
      );
      return stored === 1;
    } catch {
      return false;
    }
  }

  /**
   * Outdates every record of the holder in Redis. Where Redis does not confirm it (away, full, a read-only
   * replica), this process takes no record from before this moment any more.
   */
  async raiseMark(keys: HolderKeys): Promise<void> {
    try {
      if (this.#redis.status !== 'ready') throw new Error('not connected');
      const replies = await this.#redis.multi().incr(keys.mark).expire(keys.mark, MARK_TTL).exec();
      const failed = replies?.find(([error]) => error !== null);
      if (replies === null || failed !== undefined) throw failed?.[0] ?? new Error('aborted');
    } catch {
      this.#distrustBefore = Date.now();
    }
  }

  /** A connection that fell silent would never end by itself; a new one may find Redis well. */
  #failed(error: unknown): void {
    if (!(error instanceof Error) || error.message !== 'Command timed out') return;
    if (++this.#timeouts < DEAD_AFTER || this.#redis.status !== 'ready') return;
    this.#timeouts = 0;
    this.#redis.disconnect(true);
  }
}
