import { decodeJwt } from 'jose';
import { z } from 'zod';
import { blacklistKey, tokenDigest } from './keys.ts';

/** What a message or a pushed key means; `flush`: a whole database was emptied. */
export type RevocationKind = 'user' | 'token' | 'api_key' | 'blacklist' | 'flush' | 'malformed';

/** What must be asked again: names of watermarks, `user:<id>`, `jti:<jti>` or `key:<digest>`. */
export interface Revocation {
  readonly kind: RevocationKind;
  readonly names: readonly string[];
}

const MALFORMED: Revocation = { kind: 'malformed', names: [] };

/** Longest message that is looked at. Characters. */
const MAX_MESSAGE = 65_536;

const messageShape = z.object({
  user_id: z.union([z.string().max(255), z.int()]).nullish(),
  token: z.string().nullish(),
  api_key_hash: z.string().nullish(),
});

/**
 * Reads a message of the channel `policy:invalidate` (contract §3). IAM's own carries the refresh token, so
 * what counts is the user; where other senders leave that out, the token says whose it is.
 */
export function readInvalidation(text: string): Revocation {
  if (text.length > MAX_MESSAGE) return MALFORMED;
  const parsed = messageShape.safeParse(parseJson(text));
  if (!parsed.success) return MALFORMED;
  const { user_id: user, token, api_key_hash: keyHash } = parsed.data;
  const names = new Set<string>();
  if (user !== undefined && user !== null && user !== '') names.add(`user:${user}`);
  if (keyHash && /^[0-9a-f]{64}$/i.test(keyHash)) names.add(`key:${keyHash.toLowerCase()}`);
  if (token) for (const name of namesInToken(token)) names.add(name);
  if (names.size === 0) return MALFORMED;
  const [first = ''] = names;
  return {
    kind: first.startsWith('user:') && user ? 'user' : keyHash ? 'api_key' : 'token',
    names: [...names],
  };
}

/** Unverified: the worst that a forged token can do is that a user's identity is asked for again. */
function namesInToken(token: string): string[] {
  if (token.startsWith('omni_sk_')) return [`key:${tokenDigest(token)}`];
  try {
    const { sub, jti } = decodeJwt<{ sub?: unknown }>(token);
    return [
      ...(typeof sub === 'string' || typeof sub === 'number' ? [`user:${sub}`] : []),
      ...(typeof jti === 'string' ? [`jti:${jti}`] : []),
    ];
  } catch {
    return []; // not a token: the message has to name somebody in another way
  }
}

const BLACKLIST_PREFIX = blacklistKey('');
const BETWEEN_KEYS = new RegExp(`,(?=${BLACKLIST_PREFIX})`);

/** Reads the keys Redis pushes, which ioredis joins with commas; empty where a database was flushed. */
export function readPushedKeys(text: string): Revocation {
  if (text === '') return { kind: 'flush', names: [] };
  const keys = text.split(BETWEEN_KEYS).filter((key) => key.startsWith(BLACKLIST_PREFIX));
  if (keys.length === 0) return MALFORMED;
  return { kind: 'blacklist', names: keys.map((key) => `jti:${key.slice(BLACKLIST_PREFIX.length)}`) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // refused by the shape
  }
}
