import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify } from 'jose';

/** Longest token that is looked at. Bytes. */
export const MAX_TOKEN_LENGTH = 8192;

/** Clocks of IAM and gateway may differ by so much. Seconds. */
const LEEWAY = 5;

/** An unknown `kid` makes the key set be fetched again, but not more often. Milliseconds. */
const JWKS_COOLDOWN = 5_000;

/** A token whose structure is sound; nothing in it is verified yet. */
export interface ParsedToken {
  readonly text: string;
  readonly algorithm: 'HS256' | 'RS256';
  readonly claims: Readonly<Record<string, unknown>>;
  readonly jti: string | null;
  /** `sub` as text; null for a service account. */
  readonly subject: string | null;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
}

/** How verification ended: `unavailable` means that the keys could not be had. */
export type Verification = 'valid' | 'invalid' | 'unavailable';

/** One canonical base64url part (RFC 7515 §2): no padding, no spare bits, so a token has one spelling. */
function decodePart(part: string): Record<string, unknown> | null {
  const bytes = Buffer.from(part, 'base64url');
  if (part === '' || bytes.toString('base64url') !== part) return null;
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return isRecord(value) ? value : null;
  } catch {
    return null; // not JSON: the caller refuses the token
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Reads a token's structure without trusting it, in the order of RFC 7519 §7.2. Null: not a token that
 * could ever be accepted here.
 */
export function parseToken(text: string, now: number): ParsedToken | null {
  if (text.length > MAX_TOKEN_LENGTH) return null;
  const parts = text.split('.');
  const [headerPart, payloadPart, signaturePart] = parts;
  if (parts.length !== 3 || !headerPart || !payloadPart || !signaturePart) return null;
  if (Buffer.from(signaturePart, 'base64url').toString('base64url') !== signaturePart) return null;

  const header = decodePart(headerPart);
  if (header === null || 'crit' in header || 'b64' in header || 'zip' in header) return null;
  const { alg, typ, kid } = header;
  if (alg !== 'HS256' && alg !== 'RS256') return null;
  if (typ !== undefined && !(typeof typ === 'string' && /^(application\/)?(at\+)?jwt$/i.test(typ)))
    return null;
  if (alg === 'RS256' && typeof kid !== 'string') return null;

  const claims = decodePart(payloadPart);
  if (claims === null) return null;
  const { type, exp, nbf, sub, jti } = claims;
  if (type !== undefined && type !== 'access') return null;
  if (typeof exp !== 'number' || !Number.isFinite(exp) || exp + LEEWAY <= now / 1000) return null;
  if (nbf !== undefined && !(typeof nbf === 'number' && nbf - LEEWAY <= now / 1000)) return null;
  if (jti !== undefined && !(typeof jti === 'string' && jti.length > 0 && jti.length <= 255)) return null;
  if (sub !== undefined && !isSubject(sub)) return null;
  return {
    text,
    algorithm: alg,
    claims,
    jti: jti ?? null,
    subject: sub === undefined ? null : String(sub),
    expiresAt: exp * 1000,
  };
}

function isSubject(sub: unknown): sub is string | number {
  return typeof sub === 'string' ? sub.length > 0 && sub.length <= 255 : Number.isSafeInteger(sub);
}

/**
 * Verifies tokens locally. The token's own `alg` picks the key, and each of the two algorithms knows one
 * kind of key only, so that no key is ever used for the other (RFC 8725 §3.1).
 */
export class TokenVerifier {
  readonly #secret: Uint8Array;
  readonly #keySet: ReturnType<typeof createRemoteJWKSet>;
  readonly #issuer: string | null;
  readonly #audience: string | null;

  /** @param options.issuer `iss` and `aud` are checked where they are configured */
  constructor(options: {
    jwtSecret: string;
    jwksUrl: string;
    timeout: number;
    issuer: string | null;
    audience: string | null;
  }) {
    this.#secret = new TextEncoder().encode(options.jwtSecret);
    this.#issuer = options.issuer;
    this.#audience = options.audience;
    // Known keys stay good while IAM is away; only an unknown kid fetches again.
    this.#keySet = createRemoteJWKSet(new URL(options.jwksUrl), {
      cacheMaxAge: Number.POSITIVE_INFINITY,
      cooldownDuration: JWKS_COOLDOWN,
      timeoutDuration: options.timeout,
    });
  }

  /** Checks signature, times, issuer and audience of a token that {@link parseToken} let through. */
  async verify(token: ParsedToken): Promise<Verification> {
    const checks = {
      algorithms: [token.algorithm],
      clockTolerance: LEEWAY,
      ...(this.#issuer === null ? {} : { issuer: this.#issuer }),
      ...(this.#audience === null ? {} : { audience: this.#audience }),
    };
    try {
      await (token.algorithm === 'HS256'
        ? jwtVerify<JWTPayload>(token.text, this.#secret, checks)
        : jwtVerify<JWTPayload>(token.text, this.#keySet, checks));
      return 'valid';
    } catch (error) {
      return error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout) && isVerdict(error)
        ? 'invalid'
        : 'unavailable';
    }
  }
}

/** jose reports an unreachable key set as a plain JOSEError; all verdicts on a token are subclasses. */
function isVerdict(error: errors.JOSEError): boolean {
  return error.constructor !== errors.JOSEError && !(error instanceof errors.JWKSInvalid);
}
