import { blacklistKey } from '../cache/keys.ts';
import type { RedisClient } from '../redis/open-redis.ts';

/** What IAM's blacklist says of a token; `unknown` where it could not be read. */
export type Standing = 'clear' | 'revoked' | 'unknown';

/** IAM's blacklist of access tokens, for those nobody else can be asked about. */
export class Blacklist {
  readonly #redis: RedisClient | null;

  /** @param redis null: embedded mode, where IAM has no blacklist to share */
  constructor(redis: RedisClient | null) {
    this.#redis = redis;
  }

  async standing(jti: string): Promise<Standing> {
    if (this.#redis === null) return 'clear';
    if (this.#redis.status !== 'ready') return 'unknown';
    try {
      return (await this.#redis.exists(blacklistKey(jti))) === 0 ? 'clear' : 'revoked';
    } catch {
      return 'unknown'; // the caller refuses
    }
  }
}
