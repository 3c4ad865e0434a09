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

  /** For a service: the caller's headers that passed, and who he is. */
  complete(exchange: Exchange): void {
    const { head, identity, route } = exchange;
    if (identity === null) throw new Error('nothing is forwarded without an identity');
    this.#cookie?.strip(head.passed);
    let lines = identity.upstreamLines + this.#serviceTokens.linesFor(route.service);
    if (route.identityAssertion) {
      const assertion = this.#assertions.for(identity, route.service, exchange.traceId, exchange.startedAt);
      lines += `\r\nX-Identity-Assertion: ${assertion}`;
    }
    finish(exchange, lines);
  }

  /** The same for IAM's public paths: it judges the caller's own `Authorization`, and nobody speaks for him. */
  completeForIam(exchange: Exchange): void {
    const { head } = exchange;
    this.#cookie?.strip(head.passed);
    if (head.authorizationCount === 1) head.passed.push('Authorization', head.authorization);
    finish(exchange, '');
  }
}

/** Adds what every upstream gets: where the request came from, its trace, its length. */
function finish(exchange: Exchange, lines: string): void {
  const { head, peer } = exchange;
  const headers = head.passed;
  if (head.contentLength !== '' && exchange.body === null) headers.push('content-length', head.contentLength);
  exchange.upstreamHeaders = headers;
  exchange.gatewayLines = `${lines}${peer.forwardingLines(head)}\r\ntraceparent: ${exchange.traceparent}`;
  exchange.answerHeaders =
    exchange.cors === null
      ? ['X-Trace-Id', exchange.traceId]
      : ['X-Trace-Id', exchange.traceId, ...exchange.cors];
}
