import { createHmac, timingSafeEqual } from 'node:crypto';
import { lru } from '../cache/lru.ts';
import { isName, readCompactJws } from './compact-jws.ts';
import { Identity } from './identity.ts';

/** How the gateway is called in the `aud` of tokens for it (contract §7). */
const GATEWAY = 'gateway';

/** Verified tokens remembered; a service uses one for minutes. */
const REMEMBERED = 1_000;

/** A platform service that proved by its token who it is. */
export interface ServiceCaller {
  readonly service: string;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
  /** Who it is where it acts for nobody else, by the permission it was granted. */
  readonly identities: Map<string | null, Identity>;
}

/**
 * Tells which service of the platform calls, by its `X-Service-Token`: an HS256 JWT under one of the shared
 * service secrets, meant for the gateway. Synchronous, because it precedes every hit in the caches.
 */
export class ServiceCallers {
  readonly #secrets: readonly string[];
  readonly #known = lru<string, ServiceCaller>(REMEMBERED);

  /** @param secrets all that verify: a new and an old one while they are exchanged */
  constructor(secrets: readonly string[]) {
    this.#secrets = secrets;
  }

  /**
   * Who presents `token`; `invalid` where nobody can tell, `foreign` where it is meant for another service.
   * @param now epoch milliseconds
   */
  identify(token: string, now: number): ServiceCaller | 'invalid' | 'foreign' {
    const known = this.#known.get(token);
    if (known !== undefined && now < known.expiresAt) return known;
    const jws = readCompactJws(token, now);
    if (jws === null || jws.algorithm !== 'HS256' || !this.#isSigned(token)) return 'invalid';
    const { service, aud, type } = jws.claims;
    // No token of the platform for another purpose names a service; one that also has a type is none of these.
    if (!isName(service) || type !== undefined) return 'invalid';
    if (!(Array.isArray(aud) ? aud : [aud]).includes(GATEWAY)) return 'foreign';
    const caller = { service, expiresAt: jws.expiresAt, identities: new Map() };
    this.#known.set(token, caller);
    return caller;
  }

  #isSigned(token: string): boolean {
    const dot = token.lastIndexOf('.');
    const input = token.slice(0, dot);
    const signature = Buffer.from(token.slice(dot + 1), 'base64url');
    return this.#secrets.some((secret) => {
      const expected = createHmac('sha256', secret).update(input).digest();
      return signature.length === expected.length && timingSafeEqual(signature, expected);
    });
  }
}

/**
 * The identity of a service that acts for nobody but itself, on a route that names it.
 * @param permission what the route grants with that; null: the route asks for none
 */
export function serviceIdentity(caller: ServiceCaller, permission: string | null, token: string): Identity {
  let identity = caller.identities.get(permission);
  if (identity === undefined) {
    const facts = {
      userId: '',
      clientId: `service:${caller.service}`,
      email: null,
      roles: [],
      permissions: permission === null ? [] : [permission],
      organizationId: null,
      tokenType: 'service' as const,
      jti: null,
      expiresAt: caller.expiresAt,
    };
    identity = Identity.establish(facts, null, token);
    caller.identities.set(permission, identity);
  }
  return identity;
}
