import { parseStrictObject } from './strict-json.ts';

/** Longest token that is looked at. Bytes. */
export const MAX_TOKEN_LENGTH = 8192;

/** Clocks of issuer and gateway may differ by so much. Seconds. */
export const LEEWAY = 5;

/** The last second a date can name (ECMA-262 §21.4.1.1); an `exp` beyond it is no time. */
const LAST_SECOND = 8_640_000_000_000;

/** The only algorithms there are (contract §3). */
const ALGORITHMS = ['HS256', 'RS256'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/**
 * Header parameters no token of the platform has: those that change how the rest is to be read (RFC 7515
 * §4.1.11, RFC 7516, RFC 7797), and keys a token would bring along or have fetched for its own verification
 * (RFC 8725 §3.10). Nothing here ever looks at such a key; a token that offers one is not IAM's.
 */
const FOREIGN_PARAMETERS = ['crit', 'b64', 'zip', 'enc', 'jwk', 'jku', 'x5c', 'x5u'];

/** A token whose structure is sound; nothing in it is verified yet. */
export interface CompactJws {
  readonly algorithm: Algorithm;
  readonly kid: string | null;
  readonly claims: Readonly<Record<string, unknown>>;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
}

/**
 * Reads a token's structure without trusting it, in the order of RFC 7519 §7.2, and checks its times. Null:
 * not a token that could ever be accepted here.
 * @param now epoch milliseconds
 */
export function readCompactJws(text: string, now: number): CompactJws | null {
  if (text.length > MAX_TOKEN_LENGTH) return null;
  const parts = text.split('.');
  const [headerPart, claimsPart, signaturePart] = parts;
  if (parts.length !== 3 || !headerPart || !claimsPart || !signaturePart) return null;
  if (decodeCanonical(signaturePart) === null) return null;

  const header = decodeObject(headerPart);
  if (header === null || FOREIGN_PARAMETERS.some((name) => name in header)) return null;
  const { alg, typ, kid } = header;
  const algorithm = ALGORITHMS.find((known) => known === alg);
  if (algorithm === undefined) return null;
  // RFC 8725 §3.11: a token made for another purpose says so in `typ`.
  if (typ !== undefined && !(typeof typ === 'string' && /^(application\/)?(at\+)?jwt$/i.test(typ)))
    return null;
  if (kid !== undefined && !isName(kid)) return null;
  if (kid === undefined && algorithm === 'RS256') return null;

  const claims = decodeObject(claimsPart);
  if (claims === null) return null;
  const { exp, nbf, iat } = claims;
  const seconds = now / 1000;
  if (typeof exp !== 'number' || exp + LEEWAY <= seconds || exp > LAST_SECOND) return null;
  if (nbf !== undefined && !(typeof nbf === 'number' && nbf - LEEWAY <= seconds)) return null;
  if (iat !== undefined && !(typeof iat === 'number' && iat - LEEWAY <= seconds)) return null;
  return { algorithm, kid: kid ?? null, claims, expiresAt: exp * 1000 };
}

/** A short text that names something: a key, a token, an account. */
export function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= 255;
}

/** Bytes of a canonical base64url part (RFC 7515 §2): no padding, no spare bits, so a token has one spelling. */
function decodeCanonical(part: string): Buffer | null {
  const bytes = Buffer.from(part, 'base64url');
  return bytes.toString('base64url') === part ? bytes : null;
}

function decodeObject(part: string): Record<string, unknown> | null {
  const bytes = decodeCanonical(part);
  return bytes === null ? null : parseStrictObject(bytes);
}
