import { HolderKeys, tokenDigest } from '../cache/keys.ts';
import type { Learnt, Question, TwoTierCache } from '../cache/two-tier-cache.ts';
import { readAccessToken } from '../platform/access-token.ts';
import type { ApiKeys, ExchangedKey } from '../platform/api-keys.ts';
import { Identity } from '../platform/identity.ts';
import { type Authorities, type AuthResult, TokenQuestion } from './token-question.ts';
import { type Refusal, refusals } from './verdict.ts';

/** What is known about an API key: how it was exchanged, or why it is refused. */
export type KeyResult = ExchangedKey | Refusal;

const INVALID: Learnt<KeyResult> = {
  value: refusals.invalidApiKey,
  validUntil: Number.POSITIVE_INFINITY,
  refused: true,
};
const UNCERTAIN: Learnt<KeyResult> = { value: refusals.apiKeyUnavailable, validUntil: 0, refused: true };

/**
 * Authenticates API keys in two steps, each with its own cache: the key is exchanged for an access token,
 * which is then judged like any other, so that whatever revokes key, token or user is felt. Exchanges stay
 * in this process: what they hold is a token.
 */
export class ApiKeyAuth {
  readonly #exchanges: TwoTierCache<KeyResult>;
  readonly #identities: TwoTierCache<AuthResult>;
  readonly #apiKeys: ApiKeys;
  readonly #authorities: Authorities;

  constructor(parts: {
    exchanges: TwoTierCache<KeyResult>;
    identities: TwoTierCache<AuthResult>;
    apiKeys: ApiKeys;
    authorities: Authorities;
  }) {
    this.#exchanges = parts.exchanges;
    this.#identities = parts.identities;
    this.#apiKeys = parts.apiKeys;
    this.#authorities = parts.authorities;
  }

  /** Who it is, if that is known. Synchronous: the hot path ends here. */
  peek(apiKey: string, now: number): AuthResult | undefined {
    const exchange = this.#exchanges.peek(apiKey, now);
    if (exchange === undefined || !('accessToken' in exchange.value)) return undefined;
    if (now >= exchange.refreshAt) this.#exchanges.refresh(apiKey, exchange, this.#question(apiKey));
    const { value } = exchange;
    const identity = this.#identities.peek(identityKey(value), now);
    if (identity === undefined) return undefined;
    if (now >= identity.refreshAt) {
      const question = this.#tokenQuestion(apiKey, value);
      if (question !== null) this.#identities.refresh(identityKey(value), identity, question);
    }
    return identity.value;
  }

  /** Whether {@link peek} would give something. */
  knows(apiKey: string, now: number): boolean {
    const exchange = this.#exchanges.has(apiKey, now) ? this.#exchanges.peek(apiKey, now)?.value : undefined;
    return (
      exchange !== undefined && 'accessToken' in exchange && this.#identities.has(identityKey(exchange), now)
    );
  }

  async find(apiKey: string): Promise<AuthResult> {
    const known = this.#exchanges.peek(apiKey, Date.now());
    const exchange = known?.value ?? (await this.#exchanges.find(apiKey, this.#question(apiKey)));
    return 'accessToken' in exchange ? this.identify(apiKey, exchange) : exchange;
  }

  /** Judges the token a key was exchanged for. */
  async identify(apiKey: string, exchange: ExchangedKey): Promise<AuthResult> {
    const question = this.#tokenQuestion(apiKey, exchange);
    if (question === null) return refusals.invalidApiKey;
    const result = await this.#identities.find(identityKey(exchange), question);
    if (result instanceof Identity) return result;
    return result === refusals.iamUnavailable ? refusals.apiKeyUnavailable : refusals.invalidApiKey;
  }

  #question(apiKey: string): KeyQuestion {
    return new KeyQuestion(apiKey, this.#apiKeys, this);
  }

  #tokenQuestion(apiKey: string, { accessToken, keyId }: ExchangedKey): TokenQuestion | null {
    const token = readAccessToken(accessToken, Date.now());
    if (token === null || !('subject' in token.owner)) return null;
    return new TokenQuestion(token, this.#authorities, { keyId, apiKey });
  }
}

/** No bearer token has a space: who presents the exchanged token itself is not taken for the key. */
function identityKey({ keyId, accessToken }: ExchangedKey): string {
  return `${keyId} ${accessToken}`;
}

/** Finds out about one API key. */
class KeyQuestion implements Question<KeyResult> {
  readonly holder: string;
  readonly jti = null;
  readonly digest: string;
  readonly keys: HolderKeys;
  readonly #apiKey: string;
  readonly #apiKeys: ApiKeys;
  readonly #auth: ApiKeyAuth;

  constructor(apiKey: string, apiKeys: ApiKeys, auth: ApiKeyAuth) {
    this.#apiKey = apiKey;
    this.#apiKeys = apiKeys;
    this.#auth = auth;
    this.digest = tokenDigest(apiKey);
    this.holder = `key:${this.digest}`;
    this.keys = new HolderKeys(this.holder);
  }

  async ask(): Promise<Learnt<KeyResult>> {
    const value = await this.#apiKeys.exchange(this.#apiKey);
    if (value === 'refused') return INVALID;
    if (value === 'unavailable') return UNCERTAIN;
    // Judged at once, so that nobody has to wait for it when the key was exchanged in the background.
    const judged = await this.#auth.identify(this.#apiKey, value);
    if (judged === refusals.apiKeyUnavailable) return UNCERTAIN;
    if (!(judged instanceof Identity)) return INVALID;
    return { value, validUntil: Math.min(value.validUntil, judged.facts.expiresAt), refused: false };
  }

  blacklisted(): KeyResult {
    return refusals.invalidApiKey;
  }

  encode(): string {
    throw new TypeError('exchanges are not shared: they hold a token');
  }

  decode(): null {
    return null;
  }
}
