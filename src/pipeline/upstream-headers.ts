import type { ServiceTokens } from '../platform/service-token.ts';
import type { AuthCookie } from './auth-cookie.ts';
import type { Exchange } from './exchange.ts';

/** Completes the headers for the upstream with those only the gateway may set (contract §8). */
export class UpstreamHeaders {
  readonly #serviceTokens: ServiceTokens;
  readonly #cookie: AuthCookie | null;

  /** @param cookie the cookie that must not leave; null: none may hold a token */
  constructor(serviceTokens: ServiceTokens, cookie: AuthCookie | null) {
    this.#serviceTokens = serviceTokens;
    this.#cookie = cookie;
  }

  /** Appends to the headers that passed; the array is the exchange's own. */
  complete(exchange: Exchange): void {
    const { head, identity, peer } = exchange;
    if (identity === null) throw new Error('nothing is forwarded without an identity');
    const headers = head.passed;
    this.#cookie?.strip(headers);
    append(headers, identity.upstreamHeaders);
    append(headers, peer.forwardingHeaders(head));
    headers.push(
      'X-Trace-Id',
      exchange.traceId,
      'traceparent',
      exchange.traceparent,
      'X-Internal-Service',
      'gateway',
      'X-Service-Token',
      this.#serviceTokens.for(exchange.route.service),
    );
    if (head.contentLength !== '' && exchange.body === null)
      headers.push('content-length', head.contentLength);
    exchange.upstreamHeaders = headers;
    exchange.answerHeaders = ['X-Trace-Id', exchange.traceId];
  }
}

/** A loop, because spreading into push is slower for lists this short. */
function append(list: string[], more: readonly string[]): void {
  for (let i = 0; i < more.length; i++) list.push(more[i] as string);
}
