import type { Entry, TwoTierCache } from '../cache/two-tier-cache.ts';
import { readAccessToken } from '../platform/access-token.ts';
import { isApiKey } from '../platform/api-keys.ts';
import { MAX_TOKEN_LENGTH } from '../platform/compact-jws.ts';
import { Identity } from '../platform/identity.ts';
import { type ServiceCaller, type ServiceCallers, serviceIdentity } from '../platform/service-callers.ts';
import type { Peer } from '../upstream/peer.ts';
import type { ApiKeyAuth } from './api-key-auth.ts';
import type { AuthCookie } from './auth-cookie.ts';
import type { Exchange } from './exchange.ts';
import type { Stage } from './stage.ts';
import { type Authorities, type AuthResult, TokenQuestion } from './token-question.ts';
import { ALLOW, type Refusal, refusals, type Verdict } from './verdict.ts';

export type { AuthResult } from './token-question.ts';

/** Who is asking? L1, then Redis, then signature and claims, then IAM; only IAM's yes is a yes. */
export class Auth implements Stage {
  readonly name = 'auth';
  readonly #cache: TwoTierCache<AuthResult>;
  readonly #authorities: Authorities;
  readonly #serviceAccounts: boolean;
  readonly #callers: ServiceCallers;
  readonly #apiKeys: ApiKeyAuth;
  readonly #cookie: AuthCookie | null;

  /**
   * @param parts.serviceAccounts whether OAuth clients may speak for themselves
   * @param parts.cookie null: tokens come in headers only
   */
  constructor(parts: {
    cache: TwoTierCache<AuthResult>;
    authorities: Authorities;
    serviceAccounts: boolean;
    callers: ServiceCallers;
    apiKeys: ApiKeyAuth;
    cookie: AuthCookie | null;
  }) {
    this.#cache = parts.cache;
    this.#authorities = parts.authorities;
    this.#serviceAccounts = parts.serviceAccounts;
    this.#callers = parts.callers;
    this.#apiKeys = parts.apiKeys;
    this.#cookie = parts.cookie;
  }

  decide(exchange: Exchange): Verdict | Promise<Verdict> {
    const { serviceToken, serviceTokenCount } = exchange.head;
    let caller: ServiceCaller | null = null;
    if (serviceTokenCount > 0) {
      const known =
        serviceTokenCount > 1 ? 'invalid' : this.#callers.identify(serviceToken, exchange.startedAt);
      if (known === 'invalid') return refusals.invalidServiceToken;
      if (known === 'foreign') return refusals.foreignServiceToken;
      caller = known;
      exchange.callerService = caller.service;
    }
    const token = this.#tokenOf(exchange);
    if (typeof token !== 'string') {
      return caller !== null && token === refusals.missingToken ? concludeAlone(exchange, caller) : token;
    }
    // Runs before any await: the hit path must stay synchronous.
    if (isApiKey(token)) {
      const known = this.#apiKeys.peek(token, exchange.startedAt);
      return known === undefined ? this.#find(exchange, token) : conclude(exchange, known);
    }
    const known = this.#cache.peek(token, exchange.startedAt);
    if (known === undefined) return this.#find(exchange, token);
    if (exchange.startedAt >= known.refreshAt) this.#refresh(token, known);
    return conclude(exchange, known.value);
  }

  /** Whether a credential may be acted on without asking anybody. */
  knows(credential: string, now: number): boolean {
    if (isApiKey(credential)) return this.#apiKeys.knows(credential, now);
    return this.#cache.has(credential, now) || this.#isService(credential, now);
  }

  /** How a credential stands now; `unknown` where nobody could be asked. */
  async standing(credential: string): Promise<'good' | 'refused' | 'unknown'> {
    try {
      if (this.#isService(credential, Date.now())) return 'good';
      const result = await this.#learn(credential);
      if (result instanceof Identity) return 'good';
      const uncertain = result === refusals.iamUnavailable || result === refusals.apiKeyUnavailable;
      return uncertain ? 'unknown' : 'refused';
    } catch {
      return 'unknown'; // revoked again while asking: the caller asks once more
    }
  }

  async #find(exchange: Exchange, token: string): Promise<Verdict> {
    return conclude(exchange, await this.#learn(token));
  }

  async #learn(token: string): Promise<AuthResult> {
    if (isApiKey(token)) return this.#apiKeys.find(token);
    const question = this.#question(token);
    // Not worth a cache entry: finding it out again is as cheap as looking it up.
    return question === null ? refusals.invalidToken : this.#cache.find(token, question);
  }

  #refresh(token: string, known: Entry<AuthResult>): void {
    const question = this.#question(token);
    if (question !== null) this.#cache.refresh(token, known, question);
  }

  #question(token: string): TokenQuestion | null {
    const parsed = readAccessToken(token, Date.now());
    if (parsed === null || (!this.#serviceAccounts && 'account' in parsed.owner)) return null;
    return new TokenQuestion(parsed, this.#authorities);
  }

  #isService(credential: string, now: number): boolean {
    return typeof this.#callers.identify(credential, now) !== 'string';
  }

  #tokenOf(exchange: Exchange): string | Refusal {
    const { authorization, authorizationCount } = exchange.head;
    if (authorizationCount === 1) return tokenIn(authorization, exchange.peer);
    if (authorizationCount > 1) return refusals.invalidToken;
    const token = this.#cookie?.read(exchange) ?? null;
    return token === null ? refusals.missingToken : oneToken(token);
  }
}

function conclude(exchange: Exchange, result: AuthResult): Verdict {
  if (!(result instanceof Identity)) return result;
  exchange.identity = result;
  return ALLOW;
}

/** A service that calls for itself, where the route allows it; else somebody's token is missing. */
function concludeAlone(exchange: Exchange, caller: ServiceCaller): Verdict {
  const { routeOrNull: route, head } = exchange;
  if (head.authorizationCount > 0 || route === null || !route.services.includes(caller.service)) {
    return refusals.missingToken;
  }
  exchange.identity = serviceIdentity(caller, route.permission, head.serviceToken);
  return ALLOW;
}

/**
 * What {@link bearerToken} gives. Most connections send the same header again and again; its token is then the text
 * they sent first, which need not be read a second time, nor hashed to be found in the cache.
 */
function tokenIn(authorization: string, peer: Peer<Exchange>): string | Refusal {
  if (authorization === peer.authorization) return peer.token;
  const token = bearerToken(authorization);
  if (typeof token === 'string') {
    peer.authorization = authorization;
    peer.token = token;
  }
  return token;
}

/** The token of an `Authorization` header (RFC 6750 §2.1), or the refusal. */
function bearerToken(authorization: string): string | Refusal {
  const space = authorization.indexOf(' ');
  const scheme = space === -1 ? authorization : authorization.slice(0, space);
  if (scheme !== 'Bearer' && scheme.toLowerCase() !== 'bearer') return refusals.missingToken;
  const token = space === -1 ? '' : authorization.slice(space + 1).trim();
  return token === '' ? refusals.missingToken : oneToken(token);
}

function oneToken(text: string): string | Refusal {
  return text === '' || text.length > MAX_TOKEN_LENGTH || /[\s,]/.test(text) ? refusals.invalidToken : text;
}
