import { HolderKeys, tokenDigest } from '../cache/keys.ts';
import type { Entry, Learnt, Question, TwoTierCache } from '../cache/two-tier-cache.ts';
import type { Iam } from '../platform/iam.ts';
import { Identity, type IdentityFacts } from '../platform/identity.ts';
import {
  MAX_TOKEN_LENGTH,
  type ParsedToken,
  parseToken,
  type TokenVerifier,
} from '../platform/token-verifier.ts';
import type { Exchange } from './exchange.ts';
import type { Stage } from './stage.ts';
import { ALLOW, type Refusal, refusals, type Verdict } from './verdict.ts';

/** What is known about a token: who it is, or why it is refused. */
export type AuthResult = Identity | Refusal;

/** Answers that must not be kept: whoever could not be asked may answer next time. */
const UNCERTAIN: Learnt<AuthResult> = { value: refusals.iamUnavailable, validUntil: 0, refused: true };
const INVALID: Learnt<AuthResult> = {
  value: refusals.invalidToken,
  validUntil: Number.POSITIVE_INFINITY,
  refused: true,
};

/** Who is asking? L1, then Redis, then signature and claims, then IAM; only IAM's yes is a yes. */
export class Auth implements Stage {
  readonly name = 'auth';
  readonly #cache: TwoTierCache<AuthResult>;
  readonly #verifier: TokenVerifier;
  readonly #iam: Iam;

  constructor(cache: TwoTierCache<AuthResult>, verifier: TokenVerifier, iam: Iam) {
    this.#cache = cache;
    this.#verifier = verifier;
    this.#iam = iam;
  }

  decide(exchange: Exchange): Verdict | Promise<Verdict> {
    const token = bearerToken(exchange);
    if (typeof token !== 'string') return token;
    // Runs before any await: the hit path must stay synchronous.
    const known = this.#cache.peek(token, exchange.startedAt);
    if (known === undefined) return this.#find(exchange, token);
    if (exchange.startedAt >= known.refreshAt) this.#refresh(token, known);
    return conclude(exchange, known.value);
  }

  /** Whether a credential may be acted on without asking anybody. */
  knows(credential: string, now: number): boolean {
    return this.#cache.has(credential, now);
  }

  /** How a credential stands now; `unknown` where nobody could be asked. */
  async standing(credential: string): Promise<'good' | 'refused' | 'unknown'> {
    try {
      const result = await this.#learn(credential);
      if (result instanceof Identity) return 'good';
      return result === refusals.iamUnavailable ? 'unknown' : 'refused';
    } catch {
      return 'unknown'; // revoked again while asking: the caller asks once more
    }
  }

  async #find(exchange: Exchange, token: string): Promise<Verdict> {
    return conclude(exchange, await this.#learn(token));
  }

  async #learn(token: string): Promise<AuthResult> {
    const question = this.#question(token);
    // Not worth a cache entry: finding it out again is as cheap as looking it up.
    return question === null ? refusals.invalidToken : this.#cache.find(token, question);
  }

  #refresh(token: string, known: Entry<AuthResult>): void {
    const question = this.#question(token);
    if (question !== null) this.#cache.refresh(token, known, question);
  }

  #question(token: string): TokenQuestion | null {
    const parsed = parseToken(token, Date.now());
    return parsed === null ? null : new TokenQuestion(parsed, this.#verifier, this.#iam);
  }
}

function conclude(exchange: Exchange, result: AuthResult): Verdict {
  if (!(result instanceof Identity)) return result;
  exchange.identity = result;
  return ALLOW;
}

/** The one bearer token of a request (RFC 6750 §2.1), or the refusal. */
function bearerToken({ head }: Exchange): string | Refusal {
  const { authorization, authorizationCount } = head;
  if (authorizationCount === 0) return refusals.missingToken;
  if (authorizationCount > 1) return refusals.invalidToken;
  const space = authorization.indexOf(' ');
  const scheme = space === -1 ? authorization : authorization.slice(0, space);
  if (scheme !== 'Bearer' && scheme.toLowerCase() !== 'bearer') return refusals.missingToken;
  const token = space === -1 ? '' : authorization.slice(space + 1).trim();
  if (token === '') return refusals.missingToken;
  return token.length > MAX_TOKEN_LENGTH || /[\s,]/.test(token) ? refusals.invalidToken : token;
}

/** Finds out about one token. */
class TokenQuestion implements Question<AuthResult> {
  readonly holder: string;
  readonly jti: string | null;
  readonly digest: string;
  readonly keys: HolderKeys;
  readonly #token: ParsedToken;
  readonly #verifier: TokenVerifier;
  readonly #iam: Iam;

  constructor(token: ParsedToken, verifier: TokenVerifier, iam: Iam) {
    this.#token = token;
    this.#verifier = verifier;
    this.#iam = iam;
    this.holder = `user:${token.subject ?? ''}`;
    this.jti = token.jti;
    this.digest = tokenDigest(token.text);
    this.keys = new HolderKeys(this.holder);
  }

  async ask(): Promise<Learnt<AuthResult>> {
    const verification = await this.#verifier.verify(this.#token);
    if (verification === 'invalid') return INVALID;
    if (verification === 'unavailable') return UNCERTAIN;
    if (this.#token.subject === null) return INVALID;
    const answer = await this.#iam.validate(this.#token.text);
    if ('fault' in answer) return UNCERTAIN;
    if ('refused' in answer) return INVALID;
    const facts: IdentityFacts = {
      ...answer.account,
      clientId: null,
      tokenType: 'user',
      jti: this.#token.jti,
      expiresAt: this.#token.expiresAt,
    };
    return {
      value: Identity.establish(facts, this.#token.text),
      validUntil: this.#token.expiresAt,
      refused: false,
    };
  }

  blacklisted(): AuthResult {
    return refusals.invalidToken;
  }

  encode(value: AuthResult): string {
    if (!(value instanceof Identity)) throw new TypeError('refusals are not shared');
    return JSON.stringify(value.facts);
  }

  decode(content: string): AuthResult | null {
    try {
      // The record's seal was right, so this process or a sibling wrote it from the same type.
      return Identity.establish(JSON.parse(content) as IdentityFacts, this.#token.text);
    } catch {
      return null;
    }
  }
}
