import { constants, createHmac, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { exportJWK, type JWK } from 'jose';

/** Anything a test wants in a token: an object, or the exact text or bytes. */
type Part = object | string | Buffer;

/** Signs a token's first two parts. */
export type Signer = (input: string) => Buffer;

function part(value: Part): string {
  const bytes = Buffer.isBuffer(value)
    ? value
    : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
  return bytes.toString('base64url');
}

/** A token of any content, sound or not. */
export function jws(header: Part, claims: Part, signer: Signer): string {
  const input = `${part(header)}.${part(claims)}`;
  return `${input}.${signer(input).toString('base64url')}`;
}

export function hmac(secret: string | Buffer, hash = 'sha256'): Signer {
  return (input) => createHmac(hash, secret).update(input).digest();
}

export function rsa(key: KeyObject, hash = 'sha256', padding = constants.RSA_PKCS1_PADDING): Signer {
  return (input) => sign(hash, Buffer.from(input), { key, padding });
}

/** An RSA key pair with its public key as JWKS shows it. */
export async function rsaKey(
  kid: string,
  modulusLength = 2048,
): Promise<{ privateKey: KeyObject; publicKey: KeyObject; jwk: JWK }> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength });
  return {
    privateKey,
    publicKey,
    jwk: { ...(await exportJWK(publicKey)), kid, use: 'sig', alg: 'RS256' },
  };
}

/** Claims of an access token as IAM makes it. */
export function accessClaims(overrides: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const now = Math.floor(Date.now() / 1000);
  return {
    sub: '1',
    email: 'scientist@sandbox.local',
    roles: ['researcher'],
    permissions: ['workflow.execute'],
    org_id: 10,
    type: 'access',
    jti: randomUUID(),
    iat: now,
    exp: now + 900,
    iss: 'omnibioai-auth',
    aud: 'omnibioai-platform',
    ...overrides,
  };
}

/** Claims of a service account's token as IAM makes it. */
export function accountClaims(overrides: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const { jti, iat, exp, iss, aud, type } = accessClaims();
  return {
    client_id: 'pipeline-bot',
    org_id: 10,
    scopes: ['workflow.execute', 'dataset.read'],
    auth_method: 'client_credentials',
    type,
    jti,
    iat,
    exp,
    iss,
    aud,
    ...overrides,
  };
}
