import { createHmac } from 'node:crypto';

const HEADER = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url');

/**
 * The access token of user number `index`: the claims IAM puts into one, 430 to 440 characters in all. The same
 * secret, time and index give the same token, so a million of them need not be stored.
 * @param issuedAt epoch seconds
 */
export function tokenFor(secret: string, index: number, issuedAt: number): string {
  const claims = {
    sub: String(index),
    email: `user${index}@example.org`,
    roles: ['researcher'],
    permissions: ['workflow.execute', 'dataset.read', 'model.use'],
    org_id: index % 97,
    type: 'access',
    jti: `00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`,
    iat: issuedAt,
    exp: issuedAt + 7200,
    iss: 'omnibioai-auth',
    aud: 'omnibioai-platform',
  };
  const signed = `${HEADER}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
