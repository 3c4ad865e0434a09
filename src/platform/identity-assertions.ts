import { createPublicKey, type KeyObject, randomUUID, sign } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, type JWK } from 'jose';
import { lru } from '../cache/lru.ts';
import type { Identity } from './identity.ts';

/** Lifetime of an assertion, and how long before its end a new one is made. Seconds. */
const LIFETIME = 300;
const RENEW_AHEAD = 60;

/** `iat` lies so far back: services refuse an assertion from the future, and clocks differ. Seconds. */
const BACKDATED = 10;

/** Identities whose assertions are remembered beyond the object that stands for them. */
const REMEMBERED = 10_000;

interface Assertion {
  readonly token: string;
  /** Epoch milliseconds. */
  readonly renewAt: number;
}

interface SigningKey {
  readonly key: KeyObject;
  /** First part of every token, in base64url. */
  readonly header: string;
  readonly hash: 'sha256' | null;
  readonly jwk: JWK;
}

/**
 * Signed statements of who is calling, for services that trust no bare header: a JWT for one service alone,
 * made once for an identity and a service and made anew ahead of its end. Synchronous throughout: signing
 * takes some 40 µs with Ed25519 (300 with RSA), once in minutes, and a promise would cost every request.
 */
export class IdentityAssertions {
  readonly #signing: SigningKey;
  /** The public keys, as `/.well-known/jwks.json` shows them. */
  readonly jwks: string;
  readonly #made = new WeakMap<Identity, Map<string, Assertion>>();
  /** The same by what is stated: an identity is asked about again and again, and each time it is a new object. */
  readonly #stated = lru<string, Map<string, Assertion>>(REMEMBERED);

  private constructor(signing: SigningKey, keys: readonly SigningKey[]) {
    this.#signing = signing;
    this.jwks = JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });
  }

  /** @param keys the first one signs, all are published */
  static async open(keys: readonly KeyObject[]): Promise<IdentityAssertions> {
    const all = await Promise.all(keys.map(signingKey));
    const [signing] = all;
    if (signing === undefined) throw new Error('no key signs identities');
    return new IdentityAssertions(signing, all);
  }

  /**
   * The assertion that `identity` calls `service`.
   * @param traceId of the request; the assertion names the one it was first made for
   * @param now epoch milliseconds
   */
  for(identity: Identity, service: string, traceId: string, now: number): string {
    const made = this.#made.get(identity) ?? this.#adopt(identity);
    const known = made.get(service);
    if (known !== undefined && now < known.renewAt) return known.token;
    const assertion = this.#make(identity, service, traceId, now);
    made.set(service, assertion);
    return assertion.token;
  }

  #adopt(identity: Identity): Map<string, Assertion> {
    const { fingerprint, facts } = identity;
    const statement = `${fingerprint} ${facts.expiresAt} ${facts.jti}`;
    const made = this.#stated.get(statement) ?? new Map<string, Assertion>();
    this.#stated.set(statement, made);
    this.#made.set(identity, made);
    return made;
  }

  #make({ facts }: Identity, service: string, traceId: string, now: number): Assertion {
    const seconds = Math.floor(now / 1000);
    // Not past the end of the token, but good for a moment where that is near.
    const tokenEnd = Math.max(Math.floor(facts.expiresAt / 1000), seconds + 5);
    const exp = Math.min(seconds + LIFETIME, tokenEnd);
    const claims = {
      iss: 'omnibioai-api-gateway',
      aud: service,
      sub: facts.userId === '' ? facts.clientId : facts.userId,
      iat: seconds - BACKDATED,
      exp,
      jti: randomUUID(),
      // The session: the access token's own name, which says nothing to anybody else.
      sid: facts.jti,
      trace_id: traceId,
      user_id: facts.userId === '' ? null : facts.userId,
      client_id: facts.clientId,
      email: facts.email,
      org_id: facts.organizationId,
      roles: facts.roles,
      permissions: facts.permissions,
      token_type: facts.tokenType,
    };
    const { header, hash, key } = this.#signing;
    const input = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
    return {
      token: `${input}.${sign(hash, Buffer.from(input), key).toString('base64url')}`,
      renewAt: (exp === tokenEnd ? exp : exp - RENEW_AHEAD) * 1000,
    };
  }
}

async function signingKey(key: KeyObject): Promise<SigningKey> {
  const alg = key.asymmetricKeyType === 'rsa' ? 'RS256' : 'EdDSA';
  const jwk = await exportJWK(createPublicKey(key));
  const kid = await calculateJwkThumbprint(jwk);
  return {
    key,
    header: Buffer.from(JSON.stringify({ alg, typ: 'JWT', kid })).toString('base64url'),
    hash: alg === 'RS256' ? 'sha256' : null,
    jwk: { ...jwk, kid, use: 'sig', alg },
  };
}
