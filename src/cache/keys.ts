import { hash } from 'node:crypto';

/** SHA-256 of a token in hex: the only form in which a token may leave the process (design rule 7). */
export type TokenDigest = string & { readonly __brand: 'TokenDigest' };

/** Digests a token or any other cache key that must not be stored in clear. */
export function tokenDigest(token: string): TokenDigest {
  return hash('sha256', token) as TokenDigest; // the brand says where the value came from
}

/**
 * Redis keys of one holder (a user, a service account or an API key). All carry the holder in a hash tag,
 * so that scripts and multi-key reads stay on one slot of a Redis Cluster. The tag is a digest: names from
 * tokens may hold any character, braces included.
 */
export class HolderKeys {
  readonly mark: string;
  readonly #prefix: string;

  constructor(holder: string) {
    this.#prefix = `gateway:{${hash('sha256', holder).slice(0, 32)}}`;
    this.mark = `${this.#prefix}:mark`;
  }

  /** Key of a record of `kind`, named by a digest. */
  record(kind: string, digest: string): string {
    return `${this.#prefix}:${kind}:${digest}`;
  }
}

/** IAM's own key for a revoked access token (contract §3). Read, never written. */
export function blacklistKey(jti: string): string {
  return `blacklist:jti:${jti}`;
}
