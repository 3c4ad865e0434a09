import { lru } from '../cache/lru.ts';
import type { RedisClient } from '../redis/open-redis.ts';
import { type Bucket, type BucketLimit, FORGOTTEN_AFTER, pour, waitFor } from './leaky-bucket.ts';

/** Clients counted in this process. */
const REMEMBERED = 100_000;

/**
 * The same arithmetic as in `leaky-bucket.ts`, by Redis's own clock, so that gateways with different clocks
 * count together. Gives 1 and the excess, or 0 and the milliseconds to wait.
 */
const POUR = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local known = redis.call('HMGET', KEYS[1], 'excess', 'countedAt')
local excess, countedAt = 0, now
if known[1] then
  local passed = math.max(0, now - tonumber(known[2]))
  excess = math.max(0, tonumber(known[1]) - math.floor(rate * passed / 1000) + 1000)
  if excess > burst then
    return {0, math.max(1, math.ceil((tonumber(known[1]) + 1000 - burst) * 1000 / rate) - passed)}
  end
  if passed == 0 then countedAt = tonumber(known[2]) end
end
redis.call('HSET', KEYS[1], 'excess', excess, 'countedAt', string.format('%.0f', countedAt))
redis.call('PEXPIRE', KEYS[1], ${FORGOTTEN_AFTER})
return {1, excess}`;

/** Told of each request: where it was counted and what became of it. */
type LimitObserver = (store: 'redis' | 'process', result: 'admitted' | 'refused') => void;

/**
 * Buckets that all workers and replicas share through Redis. While Redis is away each process counts for
 * itself, from what it saw last: a limit that is too generous for a while rather than no IAM at all.
 */
export class SharedBuckets {
  readonly #redis: RedisClient | null;
  readonly #limit: BucketLimit;
  readonly #observe: LimitObserver;
  readonly #own = lru<string, Bucket>(REMEMBERED);

  /** @param redis null: embedded mode, one process counts */
  constructor(redis: RedisClient | null, limit: BucketLimit, observe: LimitObserver) {
    this.#redis = redis;
    this.#limit = limit;
    this.#observe = observe;
  }

  /** Takes one request of `client`: 0 where it is admitted, else the milliseconds to wait. */
  async pour(client: string): Promise<number> {
    const shared = await this.#pourShared(client);
    const wait = shared ?? this.#pourOwn(client);
    this.#observe(shared === null ? 'process' : 'redis', wait === 0 ? 'admitted' : 'refused');
    return wait;
  }

  async #pourShared(client: string): Promise<number | null> {
    if (this.#redis === null || this.#redis.status !== 'ready') return null;
    const { rate, burst } = this.#limit;
    try {
      const reply = await this.#redis.eval(POUR, 1, `gateway:{limit:${client}}`, rate, burst);
      // The script's own answer: two numbers.
      const [admitted, number] = reply as [number, number];
      if (admitted !== 1) return number;
      this.#own.set(client, { excess: number, countedAt: this.#now() });
      return 0;
    } catch {
      return null; // refused, or not answered in time: counted in this process instead
    }
  }

  #pourOwn(client: string): number {
    const now = this.#now();
    const known = this.#own.get(client);
    if (known === undefined) {
      this.#own.set(client, { excess: 0, countedAt: now });
      return 0;
    }
    const bucket = pour(known, now, this.#limit);
    if (bucket === null) return waitFor(known, now, this.#limit);
    this.#own.set(client, bucket);
    return 0;
  }

  /** Milliseconds of a clock that nobody sets. */
  #now(): number {
    return Math.floor(performance.now());
  }
}
