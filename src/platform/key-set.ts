import { type CryptoKey, createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { EngineClient } from './engine-client.ts';

/** Fetches that bring no key anybody asked for are so far apart, after the first two. Milliseconds. */
const COOLDOWN = 5_000;

/** After a fetch that failed the next one waits so long. Milliseconds. */
const FAILURE_PAUSE = 1_000;

/** Keys older than this are fetched again in the background, so that a withdrawn one goes. Milliseconds. */
const MAX_AGE = 300_000;

/** Picks the key that a token's header names. */
type SelectKey = ReturnType<typeof createLocalJWKSet>;

/** Why there is no key: `unknown` means that the set as far as it may be asked for has none of that name. */
export class KeyError extends Error {
  override readonly name = 'KeyError';
  readonly fault: 'unknown' | 'unavailable';

  constructor(fault: 'unknown' | 'unavailable') {
    super(`key ${fault}`);
    this.fault = fault;
  }
}

/**
 * IAM's public keys (contract §3). There is one key at a time and no overlap at rotation, so an unknown `kid`
 * fetches at once: one fetch at a time, and none for a while once fetches prove fruitless, so that a flood
 * of invented names costs IAM nothing. While IAM is away the keys already known go on working.
 */
export class KeySet {
  readonly #client: EngineClient;
  readonly #path: string;
  /** The set as it was fetched last; null before the first has come. */
  #keys: SelectKey | null = null;
  #fetching: Promise<boolean> | null = null;
  /** Epoch milliseconds. */
  #fetchedAt = 0;
  /** Epoch milliseconds until which fruitless fetches are paid for. */
  #paidUntil = 0;
  #failedUntil = 0;

  /** @param path where the server of `client` has the set */
  constructor(client: EngineClient, path: string) {
    this.#client = client;
    this.#path = path;
  }

  /** The key a token's header names. Rejects with a {@link KeyError} where there is none. */
  readonly find: JWTVerifyGetKey<CryptoKey> = async (header, token) => {
    const known = await this.#select(header, token);
    if (known !== null) return known;
    // A fetch already under way may have begun before the key came to be: then one more may follow.
    if (this.#fetching !== null) {
      await this.#fetching;
      const joined = await this.#select(header, token);
      if (joined !== null) return joined;
    }
    if (!(await this.#mayFetch())) throw new KeyError(this.#failing ? 'unavailable' : 'unknown');
    const fetched = await this.#select(header, token);
    if (fetched === null) throw new KeyError('unknown');
    this.#paidUntil = 0; // that fetch was worth its price
    return fetched;
  };

  async #select(...[header, token]: Parameters<JWTVerifyGetKey>): Promise<CryptoKey | null> {
    if (this.#keys === null) return null;
    if (Date.now() - this.#fetchedAt > MAX_AGE) void this.#mayFetch();
    try {
      return await this.#keys(header, token);
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey) return null;
      throw error;
    }
  }

  get #failing(): boolean {
    return Date.now() < this.#failedUntil;
  }

  /** Fetches, or joins whoever does, unless it is too early. Resolves to whether a set came. */
  async #mayFetch(): Promise<boolean> {
    if (this.#fetching !== null) return this.#fetching;
    const now = Date.now();
    if (this.#failing || this.#paidUntil > now + COOLDOWN) return false;
    this.#paidUntil = Math.max(this.#paidUntil, now) + COOLDOWN;
    this.#fetching = this.#fetch().finally(() => {
      this.#fetching = null;
    });
    return this.#fetching;
  }

  async #fetch(): Promise<boolean> {
    const answer = await this.#client.get(this.#path, {
      accept: 'application/jwk-set+json, application/json',
    });
    const keys = 'fault' in answer ? null : keysOf(answer.body);
    if (keys === null) {
      this.#failedUntil = Date.now() + FAILURE_PAUSE;
      this.#paidUntil = 0;
      return false;
    }
    this.#keys = keys;
    this.#fetchedAt = Date.now();
    return true;
  }
}

/** Null where what was fetched is no key set (RFC 7517 §5). */
function keysOf(set: unknown): SelectKey | null {
  try {
    return createLocalJWKSet(set as JSONWebKeySet); // throws unless it is one
  } catch {
    return null;
  }
}
