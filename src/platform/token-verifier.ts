import { errors, jwtVerify } from 'jose';
import type { AccessToken } from './access-token.ts';
import { LEEWAY } from './compact-jws.ts';
import { KeyError, type KeySet } from './key-set.ts';

/**
 * How verification ended. `unknown_key`: no key of that name now, which may be another answer a moment
 * later; `unavailable`: the keys could not be had.
 */
export type Verification = 'valid' | 'invalid' | 'unknown_key' | 'unavailable';

/**
 * Verifies tokens locally. The token's own `alg` picks the key, and each of the two algorithms knows one
 * kind of key only, so that no key is ever used for the other (RFC 8725 §3.1).
 */
export class TokenVerifier {
  readonly #secret: Uint8Array;
  readonly #keySet: KeySet;
  readonly #claims: { readonly issuer?: string; readonly audience?: string };

  /** @param options.issuer `iss` and `aud` are checked where they are configured */
  constructor(options: {
    jwtSecret: string;
    keySet: KeySet;
    issuer: string | null;
    audience: string | null;
  }) {
    this.#secret = new TextEncoder().encode(options.jwtSecret);
    this.#keySet = options.keySet;
    this.#claims = {
      ...(options.issuer === null ? {} : { issuer: options.issuer }),
      ...(options.audience === null ? {} : { audience: options.audience }),
    };
  }

  /** Checks signature, times, issuer and audience of a token whose structure was found sound. */
  async verify({ text, algorithm }: AccessToken): Promise<Verification> {
    const checks = { algorithms: [algorithm], clockTolerance: LEEWAY, ...this.#claims };
    try {
      await (algorithm === 'HS256'
        ? jwtVerify(text, this.#secret, checks)
        : jwtVerify(text, this.#keySet.find, checks));
      return 'valid';
    } catch (error) {
      if (error instanceof KeyError) return error.fault === 'unknown' ? 'unknown_key' : 'unavailable';
      return error instanceof errors.JOSEError ? 'invalid' : 'unavailable';
    }
  }
}
