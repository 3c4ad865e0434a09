import { jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';

const secret = new TextEncoder().encode(process.env.JWT_SECRET ?? '');

/** Who a token belongs to. */
export interface Caller {
  readonly id: string;
}

const callers = new LRUCache<string, Caller>({ max: 50_000, ttl: 60_000 });

/**
 * The usual middleware: verified once by jose, then remembered by the token. About half of the gateway's job: no
 * revocation, no policy, no quota, no audit.
 */
export function knownCaller(authorization: string | undefined): Caller | undefined {
  return authorization === undefined ? undefined : callers.get(authorization);
}

/** Verifies a token that is not remembered yet; null where it is not valid. */
export async function verifyCaller(authorization: string | undefined): Promise<Caller | null> {
  if (authorization?.startsWith('Bearer ') !== true) return null;
  try {
    const { payload } = await jwtVerify(authorization.slice(7), secret, { algorithms: ['HS256'] });
    const caller = { id: String(payload.sub) };
    callers.set(authorization, caller);
    return caller;
  } catch {
    return null;
  }
}
