import { type CryptoKey, createRemoteJWKSet, errors, type JWTVerifyGetKey } from 'jose';
import type { EngineFault, EngineObserver } from './engine-client.ts';

/** Fetches that bring no key anybody asked for are so far apart, after the first two. Milliseconds. */
const COOLDOWN = 5_000;

/** After a fetch that failed the next one waits so long. Milliseconds. */
const FAILURE_PAUSE = 1_000;

/** Keys older than this are fetched again in the background, so that a withdrawn one goes. Milliseconds. */
const MAX_AGE = 300_000;

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
  readonly #remote: ReturnType<typeof createRemoteJWKSet>;
  readonly #observe: EngineObserver;
  #fetching: Promise<boolean> | null = null;
  /** Epoch milliseconds; 0 before the first set has come. */
  #fetchedAt = 0;
  /** Epoch milliseconds until which fruitless fetches are paid for. */
  #paidUntil = 0;
  #failedUntil = 0;

  /** @param timeout milliseconds for one fetch */
  constructor(url: string, timeout: number, observe: EngineObserver) {
    this.#observe = observe;
    // The library parses and selects; when to fetch is decided here.
    this.#remote = createRemoteJWKSet(new URL(url), {
      cacheMaxAge: Number.POSITIVE_INFINITY,
      cooldownDuration: Number.POSITIVE_INFINITY,
      timeoutDuration: timeout,
    });
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
    if (this.#fetchedAt === 0) return null;
    if (Date.now() - this.#fetchedAt > MAX_AGE) void this.#mayFetch();
    try {
      return await this.#remote(header, token);
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
    const startedAt = performance.now();
    const seconds = () => (performance.now() - startedAt) / 1000;
    try {
      await this.#remote.reload();
      this.#fetchedAt = Date.now();
      this.#observe(seconds(), 'ok');
      return true;
    } catch (error) {
      this.#failedUntil = Date.now() + FAILURE_PAUSE;
      this.#paidUntil = 0;
      this.#observe(seconds(), faultOf(error));
      return false;
    }
  }
}

function faultOf(error: unknown): EngineFault {
  if (error instanceof errors.JWKSTimeout) return 'timeout';
  return error instanceof errors.JOSEError ? 'error' : 'unavailable';
}
