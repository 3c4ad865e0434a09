import type { UpstreamFault } from './call.ts';

/** Thrown into the way of a request's body by its own side: nothing that the upstream did wrong. */
export class RequestBodyError extends Error {
  override readonly name = 'RequestBodyError';
  readonly fault: 'too_large' | 'aborted';

  constructor(fault: 'too_large' | 'aborted') {
    super(fault === 'aborted' ? 'client went away' : 'body exceeds the limit');
    this.fault = fault;
  }
}

/** An upstream let its caller wait for too long. */
export class UpstreamTimeout extends Error {
  override readonly name = 'UpstreamTimeout';
}

/** What an error on the way to an upstream means. */
export function faultOf(error: Error): UpstreamFault | 'aborted' {
  if (error instanceof RequestBodyError) return error.fault;
  if (error instanceof UpstreamTimeout) return 'timeout';
  const code = 'code' in error ? String(error.code) : '';
  switch (code) {
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
      return 'timeout';
    case 'ECONNREFUSED':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'refused';
    default:
      return code.startsWith('HPE_') || error instanceof TypeError ? 'protocol' : 'reset';
  }
}
