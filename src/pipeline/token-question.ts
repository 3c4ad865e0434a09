import { HolderKeys, tokenDigest } from '../cache/keys.ts';
import type { Learnt, Question } from '../cache/two-tier-cache.ts';
import type { AccessToken, ServiceAccount } from '../platform/access-token.ts';
import type { Iam } from '../platform/iam.ts';
import { Identity, type IdentityFacts } from '../platform/identity.ts';
import type { TokenVerifier } from '../platform/token-verifier.ts';
import type { Blacklist } from './blacklist.ts';
import { type Refusal, refusals } from './verdict.ts';

/** What is known about a token: who it is, or why it is refused. */
export type AuthResult = Identity | Refusal;

/** Whom to ask about a token. */
export interface Authorities {
  readonly verifier: TokenVerifier;
  readonly iam: Iam;
  readonly blacklist: Blacklist;
}

/** The API key a token was exchanged for. */
interface KeyOrigin {
  readonly keyId: string;
  readonly apiKey: string;
}

/** Whoever could not be asked may answer next time. */
const UNCERTAIN: Learnt<AuthResult> = { value: refusals.iamUnavailable, validUntil: 0, refused: true };
/** A no for now: IAM withdrew the key, or it is a new one that must not be asked for so soon again. */
const UNKNOWN_KEY: Learnt<AuthResult> = { value: refusals.invalidToken, validUntil: 1, refused: true };
const INVALID: Learnt<AuthResult> = {
  value: refusals.invalidToken,
  validUntil: Number.POSITIVE_INFINITY,
  refused: true,
};

/** Finds out about one token: its signature, then IAM, whose yes alone is a yes. */
export class TokenQuestion implements Question<AuthResult> {
  readonly holder: string;
  readonly jti: string | null;
  readonly digest: string;
  readonly keys: HolderKeys;
  readonly #token: AccessToken;
  readonly #authorities: Authorities;
  readonly #origin: KeyOrigin | null;

  /** @param origin the API key the token was exchanged for; null: the caller presented the token itself */
  constructor(token: AccessToken, authorities: Authorities, origin: KeyOrigin | null = null) {
    const { owner } = token;
    this.#token = token;
    this.#origin = origin;
    this.#authorities = authorities;
    this.holder = 'subject' in owner ? `user:${owner.subject}` : `client:${owner.account.clientId}`;
    this.jti = token.jti;
    this.digest = tokenDigest(origin === null ? token.text : `${origin.keyId} ${token.text}`);
    this.keys = new HolderKeys(this.holder);
  }

  async ask(): Promise<Learnt<AuthResult>> {
    const { owner } = this.#token;
    switch (await this.#authorities.verifier.verify(this.#token)) {
      case 'valid':
        return 'subject' in owner ? this.#askIam() : this.#askBlacklist(owner.account, owner.jti);
      case 'invalid':
        return INVALID;
      case 'unknown_key':
        return UNKNOWN_KEY;
      case 'unavailable':
        return UNCERTAIN;
    }
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
      return this.#identity(JSON.parse(content) as IdentityFacts);
    } catch {
      return null;
    }
  }

  async #askIam(): Promise<Learnt<AuthResult>> {
    const answer = await this.#authorities.iam.validate(this.#token.text);
    if ('fault' in answer) return UNCERTAIN;
    if ('refused' in answer) return INVALID;
    return this.#established({
      ...answer.account,
      ...(this.#origin === null
        ? { clientId: null, tokenType: 'user' }
        : { clientId: `api_key:${this.#origin.keyId}`, tokenType: 'api_key' }),
    });
  }

  /** IAM has no answer about service accounts; without the blacklist nobody knows, and that is a no. */
  async #askBlacklist(account: ServiceAccount, jti: string): Promise<Learnt<AuthResult>> {
    switch (await this.#authorities.blacklist.standing(jti)) {
      case 'unknown':
        return UNCERTAIN;
      case 'revoked':
        return INVALID;
      case 'clear':
        return this.#established({
          userId: '',
          clientId: account.clientId,
          email: null,
          roles: [],
          permissions: account.scopes,
          organizationId: account.organizationId,
          tokenType: 'service',
        });
    }
  }

  #established(facts: Omit<IdentityFacts, 'jti' | 'expiresAt'>): Learnt<AuthResult> {
    const { jti, expiresAt } = this.#token;
    return { value: this.#identity({ ...facts, jti, expiresAt }), validUntil: expiresAt, refused: false };
  }

  #identity(facts: IdentityFacts): Identity {
    return Identity.establish(facts, this.#token.text, this.#origin?.apiKey);
  }
}
