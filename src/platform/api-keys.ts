import { z } from 'zod';
import { MAX_TOKEN_LENGTH } from './compact-jws.ts';
import type { EngineClient } from './engine-client.ts';

/** How every API key of the platform begins. */
const PREFIX = 'omni_sk_';

/** Longest API key that is looked at; IAM's are a fraction of it. */
const MAX_LENGTH = 512;

/** An exchanged token is used no more so long before its end. Milliseconds. */
const MARGIN = 30_000;

const exchangeAnswer = z.object({
  access_token: z.string().min(1).max(MAX_TOKEN_LENGTH),
  expires_in: z.number().positive().max(31_536_000),
  api_key_id: z.union([z.int(), z.string().min(1).max(255)]).transform(String),
});

/** What IAM gave for an API key. */
export interface ExchangedKey {
  readonly accessToken: string;
  readonly keyId: string;
  /** Epoch milliseconds until which the token may be used for the key. */
  readonly validUntil: number;
}

export type KeyAnswer = ExchangedKey | 'refused' | 'unavailable';

export function isApiKey(credential: string): boolean {
  return credential.startsWith(PREFIX);
}

/** Exchanges API keys for access tokens at IAM (contract §3). */
export class ApiKeys {
  readonly #iam: EngineClient;
  readonly #secret: string | null;

  /** @param secret null: API keys are refused */
  constructor(iam: EngineClient, secret: string | null) {
    this.#iam = iam;
    this.#secret = secret;
  }

  async exchange(apiKey: string): Promise<KeyAnswer> {
    if (this.#secret === null || apiKey.length > MAX_LENGTH) return 'refused';
    const askedAt = Date.now();
    const headers = { 'x-api-key-exchange-secret': this.#secret };
    const answer = await this.#iam.post('/auth/api-keys/exchange', { api_key: apiKey }, headers);
    // Any other status says something about IAM or the gateway's secret, not about the key.
    if ('fault' in answer) return answer.status === 401 ? 'refused' : 'unavailable';
    const parsed = exchangeAnswer.safeParse(answer.body);
    if (!parsed.success) return 'unavailable';
    const { access_token: accessToken, expires_in: seconds, api_key_id: keyId } = parsed.data;
    return { accessToken, keyId, validUntil: askedAt + seconds * 1000 - MARGIN };
  }
}
