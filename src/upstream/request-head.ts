/**
 * What to do with a client's header. `Pass` goes to the upstream as it came; the rest is the gateway's to
 * read, to write anew or to drop.
 */
const Rule = {
  Pass: 0,
  Drop: 1,
  Authorization: 2,
  TraceId: 3,
  Traceparent: 4,
  Connection: 5,
  Host: 6,
  ServiceToken: 7,
  ForwardedFor: 8,
  ContentLength: 9,
  TransferEncoding: 10,
  Via: 11,
  ForwardedProto: 12,
  ForwardedHost: 13,
} as const;
type Rule = (typeof Rule)[keyof typeof Rule];

const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['authorization', Rule.Authorization],
  ['connection', Rule.Connection],
  ['content-length', Rule.ContentLength],
  ['host', Rule.Host],
  ['traceparent', Rule.Traceparent],
  ['transfer-encoding', Rule.TransferEncoding],
  ['via', Rule.Via],
  ['x-forwarded-for', Rule.ForwardedFor],
  ['x-forwarded-host', Rule.ForwardedHost],
  ['x-forwarded-proto', Rule.ForwardedProto],
  ['x-service-token', Rule.ServiceToken],
  ['x-trace-id', Rule.TraceId],
  // Hop-by-hop (RFC 9110 §7.6.1), and what the gateway answers itself.
  ...dropped('expect', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te'),
  ...dropped('trailer', 'upgrade', 'http2-settings'),
  // Identity, tenancy, permission and service claims: only the gateway makes them (design rule 3).
  ...dropped('x-user-id', 'x-user', 'x-username', 'x-user-name', 'x-user-email', 'x-email', 'x-user-role'),
  ...dropped('x-user-roles', 'x-role', 'x-roles', 'x-groups', 'x-user-groups', 'x-user-permissions'),
  ...dropped(
    'x-organization-id',
    'x-organization',
    'x-org-id',
    'x-org',
    'x-org-role',
    'x-tenant-id',
    'x-tenant',
  ),
  ...dropped('x-team-id', 'x-team', 'x-client-id', 'x-permissions', 'x-permission', 'x-scopes', 'x-scope'),
  ...dropped(
    'x-token-type',
    'x-internal-service',
    'x-internal',
    'x-service',
    'x-service-name',
    'x-caller-service',
  ),
  ...dropped(
    'x-identity-assertion',
    'x-auth-user',
    'x-auth-request-user',
    'x-auth-request-email',
    'x-auth-token',
  ),
  ...dropped('x-authenticated-user', 'x-authenticated-userid', 'x-forwarded-user', 'x-forwarded-email'),
  ...dropped('x-forwarded-groups', 'x-remote-user', 'remote-user', 'x-api-key-exchange-secret', 'x-admin'),
  // Where the request came from: written anew from the connection (contract §8).
  ...dropped('forwarded', 'x-forwarded', 'x-forwarded-port', 'x-forwarded-prefix', 'x-forwarded-server'),
  ...dropped('x-real-ip', 'x-client-ip', 'x-cluster-client-ip', 'true-client-ip', 'x-original-forwarded-for'),
  // A second path or method beside the judged one (design rule 2).
  ...dropped('x-original-url', 'x-rewrite-url', 'x-original-uri', 'x-original-method', 'x-http-method'),
  ...dropped('x-http-method-override', 'x-method-override'),
]);

function dropped(...names: string[]): [string, Rule][] {
  return names.map((name) => [name, Rule.Drop]);
}

/**
 * Rules by the name as it was spelt, so that a usual name costs one lookup and no lower-casing. Emptied when
 * full, so that invented names cannot fill the memory.
 */
const ruleBySpelling = new Map<string, Rule>();
const SPELLINGS_MAX = 2048;

function ruleOf(name: string): Rule {
  const known = ruleBySpelling.get(name);
  if (known !== undefined) return known;
  // Servers that map headers to variables (CGI, WSGI) read an underscore and a hyphen alike.
  const rule = RULES.get(name.toLowerCase().replaceAll('_', '-')) ?? Rule.Pass;
  if (ruleBySpelling.size >= SPELLINGS_MAX) ruleBySpelling.clear();
  ruleBySpelling.set(name, rule);
  return rule;
}

/** The head of a client's request, read once: what the stages need, and what passes to the upstream. */
export class RequestHead {
  /** End-to-end headers, flat (name, value, …), in the client's order and spelling. */
  readonly passed: string[] = [];
  /** Empty without the header. */
  authorization = '';
  authorizationCount = 0;
  host = '';
  hostCount = 0;
  traceId = '';
  traceparent = '';
  serviceToken = '';
  serviceTokenCount = 0;
  forwardedFor = '';
  forwardedProto = '';
  forwardedHost = '';
  via = '';
  /** As received: digits, checked by the parser. Empty without the header. */
  contentLength = '';
  chunked = false;

  /** @param rawHeaders flat list as the parser gives it */
  constructor(rawHeaders: readonly string[]) {
    let connection = '';
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
      const name = rawHeaders[i] as string; // both exist: the loop's condition
      const value = rawHeaders[i + 1] as string;
      const rule = ruleOf(name);
      if (rule === Rule.Pass) this.passed.push(name, value);
      else if (rule === Rule.Connection) connection = connection === '' ? value : `${connection},${value}`;
      else if (rule !== Rule.Drop) this.#note(rule, name, value);
    }
    if (connection !== '' && connection !== 'keep-alive' && connection !== 'close')
      this.#dropNamed(connection);
  }

  /** Whether a body follows the head (RFC 9112 §6.3). */
  get hasBody(): boolean {
    return this.chunked || (this.contentLength !== '' && this.contentLength !== '0');
  }

  #note(rule: Rule, name: string, value: string): void {
    // A look-alike with an underscore is dropped, never taken for the header itself.
    if (name.includes('_')) return;
    switch (rule) {
      case Rule.Authorization:
        this.authorization = value;
        this.authorizationCount++;
        break;
      case Rule.Host:
        this.host = value;
        this.hostCount++;
        break;
      case Rule.TraceId:
        this.traceId = value;
        break;
      case Rule.Traceparent:
        this.traceparent = value;
        break;
      case Rule.ServiceToken:
        this.serviceToken = value;
        this.serviceTokenCount++;
        break;
      case Rule.ForwardedFor:
        this.forwardedFor = joined(this.forwardedFor, value);
        break;
      case Rule.ForwardedProto:
        this.forwardedProto = value;
        break;
      case Rule.ForwardedHost:
        this.forwardedHost = value;
        break;
      case Rule.Via:
        this.via = joined(this.via, value);
        break;
      case Rule.ContentLength:
        this.contentLength = value;
        break;
      case Rule.TransferEncoding:
        this.chunked = true;
        break;
    }
  }

  /** Headers that `Connection` names belong to this hop (RFC 9110 §7.6.1). */
  #dropNamed(connection: string): void {
    const named = new Set(
      connection
        .toLowerCase()
        .split(',')
        .map((option) => option.trim()),
    );
    let kept = 0;
    for (let i = 0; i + 1 < this.passed.length; i += 2) {
      const name = this.passed[i] as string; // both exist: the loop's condition
      if (named.has(name.toLowerCase())) continue;
      this.passed[kept++] = name;
      this.passed[kept++] = this.passed[i + 1] as string;
    }
    this.passed.length = kept;
  }
}

function joined(list: string, value: string): string {
  return list === '' ? value : `${list}, ${value}`;
}
