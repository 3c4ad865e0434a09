import { hash } from 'node:crypto';
import { validateHeaderValue } from '../node-http.ts';
import { headerLines } from '../upstream/header-lines.ts';

/** What is known about a caller from a validated token. */
export interface IdentityFacts {
  /** Empty for a service account. */
  readonly userId: string;
  /** OAuth client or `api_key:<id>`; null for a person's session. */
  readonly clientId: string | null;
  readonly email: string | null;
  readonly roles: readonly string[];
  readonly permissions: readonly string[];
  readonly organizationId: string | null;
  readonly tokenType: 'user' | 'service' | 'api_key';
  /** `jti` of the token, where it has one. */
  readonly jti: string | null;
  /** Epoch milliseconds at which the token ends (its `exp`). */
  readonly expiresAt: number;
}

/**
 * A caller whose token was validated. Only {@link Identity.establish} makes one, and only the auth stage
 * calls that. Everything that depends on the token alone is computed here once, not per request.
 */
export class Identity {
  readonly facts: IdentityFacts;
  /** SHA-256 over all that a policy decision depends on besides the request. */
  readonly fingerprint: string;
  /** Answer of `GET /auth/verify` (contract §1). */
  readonly verifyAnswer: { readonly body: string; readonly headers: readonly string[] };
  // The audit trail reads these names.
  readonly userId: string | null;
  readonly organizationId: string | null;
  readonly clientId: string | null;
  readonly tokenType: string;
  readonly #credential: string;
  /** Up to the token, which they share with the cache: a million callers are half a gigabyte of it. */
  readonly #lines: string;
  readonly #token: string;

  private constructor(facts: IdentityFacts, token: string | null, credential: string) {
    this.facts = facts;
    this.#credential = credential;
    this.userId = facts.userId === '' ? null : facts.userId;
    this.organizationId = facts.organizationId;
    this.clientId = facts.clientId;
    this.tokenType = facts.tokenType;
    this.#lines = headerLines(identityHeaders(facts, token));
    this.#token = token ?? '';
    validateHeaderValue('Authorization', this.#token);
    this.verifyAnswer = {
      body: JSON.stringify({ authenticated: true, user: { id: facts.userId, roles: facts.roles } }),
      headers: claimHeaders(facts),
    };
    this.fingerprint = hash(
      'sha256',
      JSON.stringify([
        facts.userId,
        facts.clientId,
        facts.email,
        facts.roles,
        facts.permissions,
        facts.organizationId,
        facts.tokenType,
      ]),
    );
  }

  /**
   * @param token the validated token, which upstreams receive as `Authorization`; null: they receive none
   * @param credential what the caller presented; the token itself where nothing else is given
   */
  static establish(facts: IdentityFacts, token: string | null, credential = token ?? ''): Identity {
    return new Identity(Object.freeze(facts), token, credential);
  }

  /** The lines of the headers an upstream gets for this caller (contract §8). */
  get upstreamLines(): string {
    return this.#lines + this.#token;
  }

  /** What the caller presented, by which the identity can be asked about again. A secret: never leaves. */
  get credential(): string {
    return this.#credential;
  }
}

/** All of them, but the token at the end. */
function identityHeaders(facts: IdentityFacts, token: string | null): string[] {
  const claims = claimHeaders(facts);
  return token === null ? claims : [...claims, 'Authorization', 'Bearer '];
}

function claimHeaders(facts: IdentityFacts): string[] {
  const headers = [
    'X-User-Id',
    headerSafe(facts.userId),
    'X-Permissions',
    facts.permissions.map((name) => headerSafe(name).replaceAll(',', '%2C')).join(','),
    'X-Token-Type',
    facts.tokenType,
  ];
  if (facts.organizationId !== null) headers.push('X-Organization-ID', headerSafe(facts.organizationId));
  if (facts.clientId !== null) headers.push('X-Client-ID', headerSafe(facts.clientId));
  return headers;
}

/**
 * Makes a value from a token fit for a header: printable Latin-1 stays, everything else is percent-encoded
 * as UTF-8, and so is `%` where it would read as an escape. No CR, LF or NUL survives (RFC 9110 §5.5).
 */
export function headerSafe(value: string): string {
  if (/^[\x20-\x7e\xa0-\xff]*$/.test(value)) return value.trim();
  return value
    .toWellFormed()
    .replace(/[^\x20-\x7e\xa0-\xff]/gu, encodeURIComponent)
    .trim();
}
