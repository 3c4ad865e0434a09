import type { RequestHead } from '../upstream/request-head.ts';
import type { Exchange } from './exchange.ts';

/** Besides what is always readable (Fetch §2.2.6): what the platform's pages ask answers for. */
const EXPOSED =
  'X-Trace-Id, WWW-Authenticate, Retry-After, Location, Link, ETag, Content-Disposition, Content-Range, Accept-Ranges';

const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS';

/** A browser need not ask again for so long; Chromium caps it there. Seconds. */
const MAX_AGE = '7200';

/** A list of header names (RFC 9110 §5.1). */
const NAMES = /^[\w!#$%&'*+.^`|~-]+(?:[ \t]*,[ \t]*[\w!#$%&'*+.^`|~-]+)*$/;

/** Answers differ by origin also where this one gets nothing: caches must know (Fetch §3.2.5). */
const VARIES: readonly string[] = ['Vary', 'Origin'];

/** The gateway's CORS protocol (Fetch §3.2): which pages may call, and read what it answers. */
export class Cors {
  readonly #headers: ReadonlyMap<string, readonly string[]>;

  /** @param origins as browsers write them; compared as a whole */
  constructor(origins: Iterable<string>) {
    this.#headers = new Map([...origins].map((origin) => [origin, allowing(origin)]));
  }

  /** Headers for the answer to any request, flat. They replace those of a service. */
  headersFor({ origin, originCount }: RequestHead): readonly string[] {
    return (originCount === 1 ? this.#headers.get(origin) : undefined) ?? VARIES;
  }

  /** Whether a listed origin asks what it may send; such a request carries no token (Fetch §4.8). */
  isPreflight({ request, method, cors }: Exchange): boolean {
    if (method !== 'OPTIONS' || cors === null || cors === VARIES) return false;
    return request.headers['access-control-request-method'] !== undefined;
  }

  /** Headers for the answer to a preflight, flat. */
  preflightHeaders({ request, cors }: Exchange): string[] {
    const headers = [...(cors ?? VARIES)];
    headers.push('Vary', 'Access-Control-Request-Headers', 'Access-Control-Max-Age', MAX_AGE);
    headers.push('Access-Control-Allow-Methods', METHODS);
    const asked = request.headers['access-control-request-headers'];
    // Which headers mean something is for the header rules and the service to say.
    if (asked !== undefined && NAMES.test(asked)) headers.push('Access-Control-Allow-Headers', asked);
    return headers;
  }
}

function allowing(origin: string): readonly string[] {
  return [
    'Access-Control-Allow-Origin',
    origin,
    'Access-Control-Allow-Credentials',
    'true',
    'Access-Control-Expose-Headers',
    EXPOSED,
    ...VARIES,
  ];
}
