import { type Algorithm, isName, readCompactJws } from './compact-jws.ts';

/** An OAuth client that acts for itself (contract §3): what its token says, as far as it is verified locally. */
export interface ServiceAccount {
  readonly clientId: string;
  readonly organizationId: string | null;
  readonly scopes: readonly string[];
}

/** Whom a token speaks for. */
type TokenOwner = { readonly subject: string } | { readonly account: ServiceAccount; readonly jti: string };

/** An access token whose structure and claims are sound; nothing in it is verified yet. */
export interface AccessToken {
  readonly text: string;
  readonly algorithm: Algorithm;
  readonly owner: TokenOwner;
  readonly jti: string | null;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
}

/**
 * Reads an access token without trusting it. Null: not a token that could ever be accepted here, among them
 * IAM's tokens for other purposes (contract §3).
 * @param now epoch milliseconds
 */
export function readAccessToken(text: string, now: number): AccessToken | null {
  const jws = readCompactJws(text, now);
  if (jws === null) return null;
  const { type, jti } = jws.claims;
  if (type !== undefined && type !== 'access') return null;
  if (jti !== undefined && !isName(jti)) return null;
  const owner = ownerOf(jws.claims);
  return owner === null
    ? null
    : { text, algorithm: jws.algorithm, owner, jti: jti ?? null, expiresAt: jws.expiresAt };
}

function ownerOf(claims: Readonly<Record<string, unknown>>): TokenOwner | null {
  const { sub } = claims;
  if (sub === undefined) return serviceAccountOf(claims);
  return isName(sub) || Number.isSafeInteger(sub) ? { subject: String(sub) } : null;
}

/**
 * Nobody but this process judges such a token, so it must say all that IAM's do: nothing is taken for
 * granted. One without `jti` could not be revoked; one without scopes may do nothing, and must not reach the
 * policy engine, which skips its check of permissions where there are none (contract §4).
 */
function serviceAccountOf(claims: Readonly<Record<string, unknown>>): TokenOwner | null {
  const { type, auth_method: method, client_id: clientId, org_id: organization, scopes, jti } = claims;
  if (type !== 'access' || method !== 'client_credentials' || !isName(clientId) || !isName(jti)) return null;
  if (!Array.isArray(scopes) || scopes.length === 0 || !scopes.every((scope) => typeof scope === 'string'))
    return null;
  const none = organization === undefined || organization === null;
  if (!none && !isName(organization) && !Number.isSafeInteger(organization)) return null;
  const organizationId = none ? null : String(organization);
  return { account: { clientId, organizationId, scopes }, jti };
}
