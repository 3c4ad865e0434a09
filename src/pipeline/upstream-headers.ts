import type { IdentityAssertions } from '../platform/identity-assertions.ts';
import type { ServiceTokens } from '../platform/service-token.ts';
import type { AuthCookie } from './auth-cookie.ts';
import type { Exchange } from './exchange.ts';

/** Completes the headers for the upstream with those only the gateway may set (contract §8). */
export class UpstreamHeaders {
  readonly #serviceTokens: ServiceTokens;
  readonly #assertions: IdentityAssertions;
  readonly #cookie: AuthCookie | null;

  /** @param cookie the cookie that must not leave; null: none may hold a token */
  constructor(serviceTokens: ServiceTokens, assertions: IdentityAssertions, cookie: AuthCookie | null) {
    this.#serviceTokens = serviceTokens;
    this.#assertions = assertions;
    this.#cookie = cookie;
  }

  /** Appends to the headers that passed; the array is the exchange's own. */
  complete(exchange: Exchange): void {
    const { head, identity, route } = exchange;
    if (identity === null) throw new Error('nothing is forwarded without an identity');
    const headers = head.passed;
    this.#cookie?.strip(headers);
    append(headers, identity.upstreamHeaders);
    headers.push('X-Internal-Service', 'gateway', 'X-Service-Token', this.#serviceTokens.for(route.service));
    if (route.identityAssertion) {
      headers.push(
        'X-Identity-Assertion',
        this.#assertions.for(identity, route.service, exchange.traceId, exchange.startedAt),
      );
    }
    finish(exchange, headers);
  }

  /** The same for IAM's public paths: it judges the caller's own `Authorization`, and nobody speaks for him. */
  completeForIam(exchange: Exchange): void {
    const { head } = exchange;
    const headers = head.passed;
    this.#cookie?.strip(headers);
    if (head.authorizationCount === 1) headers.push('Authorization', head.authorization);
    finish(exchange, headers);
  }
}

/** Adds what every upstream gets: where the request came from, its trace, its length. */
function finish(exchange: Exchange, headers: string[]): void {
  const { head, peer } = exchange;
  append(headers, peer.forwardingHeaders(head));
  headers.push('X-Trace-Id', exchange.traceId, 'traceparent', exchange.traceparent);
  if (head.contentLength !== '' && exchange.body === null) headers.push('content-length', head.contentLength);
  exchange.upstreamHeaders = headers;
  exchange.answerHeaders =
    exchange.cors === null
      ? ['X-Trace-Id', exchange.traceId]
      : ['X-Trace-Id', exchange.traceId, ...exchange.cors];
}

/** A loop, because spreading into push is slower for lists this short. */
function append(list: string[], more: readonly string[]): void {
  for (let i = 0; i < more.length; i++) list.push(more[i] as string);
}
