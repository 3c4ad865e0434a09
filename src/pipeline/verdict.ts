/**
 * The stages of the pipeline, in their order; `request` is what precedes them: a sound request line.
 * `upgrade` is passed only by requests that are to leave HTTP.
 */
export type StageName =
  | 'request'
  | 'trace'
  | 'limit'
  | 'auth'
  | 'policy'
  | 'hpc'
  | 'upgrade'
  | 'audit'
  | 'forward';

/** A stage's yes. Anything else, an exception included, is a no. */
export const ALLOW = Symbol('allow');

/** A stage's no: what the client is told, and what metrics and audit record. */
export interface Refusal {
  readonly stage: StageName;
  readonly status: number;
  /** `error` of the answer's body. */
  readonly error: string;
  /** `reason` of the answer's body; null: the body has none. */
  readonly shown: string | null;
  /** Why, for metrics: from a fixed set, never a client's or an engine's words. */
  readonly cause: string;
  /** Why, for the audit event. */
  readonly reason: string;
  readonly wwwAuthenticate: string | null;
  /** Seconds of `Retry-After`; null: the answer has none. */
  readonly retryAfter: number | null;
}

export type Verdict = typeof ALLOW | Refusal;

/** Refusals of contract §2 and the gateway's own 4xx and 5xx, each in one place. */
export const refusals = {
  badRequest: (cause: string, status = 400, error = 'bad request') =>
    refusal({ stage: 'request', status, error, shown: cause, cause }),

  /** The gateway itself has more to do than it can. */
  overloaded: refusal({
    stage: 'request',
    status: 503,
    error: 'overloaded',
    cause: 'overloaded',
    retryAfter: 1,
  }),

  missingToken: refusal({
    stage: 'auth',
    status: 401,
    error: 'missing token',
    cause: 'missing_token',
    wwwAuthenticate: 'Bearer',
  }),

  invalidToken: unauthenticated('invalid token', null),
  iamUnavailable: unauthenticated('invalid token', 'iam_unavailable'),
  invalidServiceToken: unauthenticated('invalid token', 'invalid_service_token'),

  invalidApiKey: unauthenticated('invalid api key', null),
  apiKeyUnavailable: unauthenticated('invalid api key', 'iam_unavailable'),

  /** A service token that is meant for another service. */
  foreignServiceToken: refusal({
    stage: 'auth',
    status: 403,
    error: 'forbidden',
    shown: 'foreign_service_token',
    cause: 'foreign_service_token',
    reason: 'invalid_token',
  }),

  unknownPath: refusal({ stage: 'forward', status: 404, error: 'not found', cause: 'unknown_path' }),

  policyDenied: (reason: string, cause: string) =>
    refusal({ stage: 'policy', status: 403, error: 'forbidden', shown: reason, cause, reason }),

  quotaExceeded: (reason: string, cause: string) =>
    refusal({ stage: 'hpc', status: 403, error: 'HPC quota exceeded', shown: reason, cause, reason }),

  tooManySockets: refusal({
    stage: 'upgrade',
    status: 429,
    error: 'too many requests',
    shown: 'too_many_sockets',
    cause: 'too_many_sockets',
  }),

  badGateway: (cause: string) =>
    refusal({ stage: 'forward', status: 502, error: 'bad gateway', shown: cause, cause }),

  gatewayTimeout: refusal({
    stage: 'forward',
    status: 504,
    error: 'gateway timeout',
    shown: 'timeout',
    cause: 'timeout',
  }),

  /** What a caller gets whose token ended or was revoked after the request was let through. */
  ended: (reason: 'revoked' | 'expired') =>
    refusal({
      stage: 'forward',
      status: 401,
      error: 'invalid token',
      shown: reason,
      cause: reason,
      wwwAuthenticate: 'Bearer error="invalid_token"',
    }),

  /** @param wait milliseconds after which another try may go better */
  unavailable: (cause: string, wait: number) =>
    refusal({
      stage: 'forward',
      status: 503,
      error: 'service unavailable',
      shown: cause,
      cause,
      retryAfter: Math.max(1, Math.ceil(wait / 1000)),
    }),

  bodyTooLarge: refusal({
    stage: 'request',
    status: 413,
    error: 'payload too large',
    shown: 'body_too_large',
    cause: 'body_too_large',
  }),

  /** @param wait milliseconds after which another try may go better */
  tooManyRequests: (wait: number) =>
    refusal({
      stage: 'limit',
      status: 429,
      error: 'too many requests',
      shown: 'rate_limited',
      cause: 'rate_limited',
      retryAfter: Math.max(1, Math.ceil(wait / 1000)),
    }),
  auditUnavailable: refusal({
    stage: 'audit',
    status: 503,
    error: 'audit unavailable',
    cause: 'audit_unavailable',
  }),
  verifyUnaudited: refusal({
    stage: 'audit',
    status: 403,
    error: 'forbidden',
    shown: 'audit_unavailable',
    cause: 'audit_unavailable',
  }),

  internal: (stage: StageName) =>
    refusal({ stage, status: 500, error: 'internal error', cause: 'internal_error' }),
} as const;

/** A credential that is no good. */
function unauthenticated(error: 'invalid token' | 'invalid api key', shown: string | null): Refusal {
  // The platform's readers count by this reason (contract §6), whatever made the credential unusable.
  const reason = error.replaceAll(' ', '_');
  return refusal({
    stage: 'auth',
    status: 401,
    error,
    shown,
    cause: shown ?? reason,
    reason,
    wwwAuthenticate: 'Bearer error="invalid_token"',
  });
}

function refusal(parts: Partial<Refusal> & Pick<Refusal, 'stage' | 'status' | 'error' | 'cause'>): Refusal {
  return Object.freeze({
    shown: null,
    wwwAuthenticate: null,
    retryAfter: null,
    reason: parts.cause,
    ...parts,
  });
}
