import type { Exchange } from './exchange.ts';

/**
 * The access token in a cookie, for requests a browser cannot give a header (contract §3). A cookie comes
 * along whoever made the browser send it, so it counts only where that does no harm: safe methods (RFC 9110
 * §9.2.1), and upgrades that begin on a page of an allowed origin or of the gateway's own.
 */
export class AuthCookie {
  readonly #name: string;
  readonly #origins: ReadonlySet<string>;

  /** @param origins besides the gateway's own, as `https://host[:port]` */
  constructor(name: string, origins: ReadonlySet<string>) {
    this.#name = name;
    this.#origins = origins;
  }

  /** The token, empty where there are several; null: no cookie, or not for this request. */
  read(exchange: Exchange): string | null {
    const { routeOrNull, head } = exchange;
    // Whoever asks /auth/verify asks about another request, whose method is not known here.
    if (routeOrNull === null || !this.#counts(exchange)) return null;
    const found: string[] = [];
    for (const header of valuesOf(head.passed, 'cookie')) {
      for (const pair of header.split(';')) {
        if (this.#isOwn(pair)) found.push(pair.slice(pair.indexOf('=') + 1).trim());
      }
    }
    // Another site of the same domain can set a second cookie of this name: which one is meant is unknown.
    return found.length > 1 ? '' : (found[0] ?? null);
  }

  /** Takes the cookie out of headers for an upstream: the token leaves as `Authorization` or not at all. */
  strip(headers: string[]): void {
    for (let i = headers.length - 2; i >= 0; i -= 2) {
      const name = headers[i] as string; // both exist: pairs from the end
      const value = headers[i + 1] as string;
      if (!isCookie(name) || !value.includes(this.#name)) continue;
      const kept = value.split(';').filter((pair) => !this.#isOwn(pair));
      if (kept.length === 0) headers.splice(i, 2);
      else headers[i + 1] = kept.join(';').trim();
    }
  }

  #counts({ request, head, peer, method }: Exchange): boolean {
    if (request.headers.upgrade === undefined)
      return method === 'GET' || method === 'HEAD' || method === 'OPTIONS';
    const [origin, ...more] = valuesOf(head.passed, 'origin');
    if (origin === undefined || more.length > 0) return false;
    return this.#origins.has(origin) || origin === URL.parse(peer.publicOrigin(head))?.origin;
  }

  #isOwn(pair: string): boolean {
    const equals = pair.indexOf('=');
    return equals !== -1 && pair.slice(0, equals).trim() === this.#name;
  }
}

function isCookie(name: string): boolean {
  return name.length === 6 && name.toLowerCase() === 'cookie';
}

function valuesOf(headers: readonly string[], wanted: string): string[] {
  return headers.filter((_, i) => i % 2 === 1 && headers[i - 1]?.toLowerCase() === wanted);
}
