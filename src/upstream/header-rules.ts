/**
 * What to do with a client's header. `Pass` goes to the upstream as it came; the rest is the gateway's to
 * read, to write anew or to drop.
 */
export const Rule = {
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
  ContentType: 14,
  Upgrade: 15,
  Origin: 16,
} as const;
export type Rule = (typeof Rule)[keyof typeof Rule];

const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['authorization', Rule.Authorization],
  ['connection', Rule.Connection],
  ['content-length', Rule.ContentLength],
  ['content-type', Rule.ContentType],
  ['host', Rule.Host],
  ['origin', Rule.Origin],
  ['traceparent', Rule.Traceparent],
  ['transfer-encoding', Rule.TransferEncoding],
  ['via', Rule.Via],
  ['x-forwarded-for', Rule.ForwardedFor],
  ['x-forwarded-host', Rule.ForwardedHost],
  ['x-forwarded-proto', Rule.ForwardedProto],
  ['x-service-token', Rule.ServiceToken],
  ['upgrade', Rule.Upgrade],
  ['x-trace-id', Rule.TraceId],
  // Named like a claim, but the client's program (gRPC-Web).
  ['x-user-agent', Rule.Pass],
  // Hop-by-hop (RFC 9110 §7.6.1), and what the gateway answers itself.
  ...dropped('expect', 'http2-settings', 'keep-alive', 'te', 'trailer'),
  // CGI programs take it for their own outgoing proxy (CVE-2016-5385).
  ...dropped('proxy'),
  // Identity, tenancy, permission and service claims that no family below covers.
  ...dropped('x-org', 'x-admin', 'x-email', 'x-api-key-exchange-secret', 'x-caller-service'),
  // Where the request came from: written anew from the connection (contract §8).
  ...dropped('client-ip', 'forwarded', 'true-client-ip', 'cf-connecting-ip', 'fastly-client-ip'),
  ...dropped('x-cluster-client-ip', 'x-host', 'x-azure-clientip', 'x-appengine-user-ip'),
  // A second path or method beside the judged one (design rule 2).
  ...dropped('x-http-method', 'x-method-override', 'x-override-url', 'x-accel-mapping', 'x-sendfile-type'),
]);

/**
 * Families whose every member is a claim only the gateway may make (design rule 3), whatever its ending:
 * services and frameworks read dozens of spellings.
 */
const DROPPED_FAMILIES: readonly string[] = [
  // Who is asking, and for whom.
  ...['x-account', 'x-client-id', 'x-consumer', 'x-credential', 'x-group', 'x-identity', 'x-impersonat'],
  // Not `x-org`: an organism is no organization.
  ...[
    'x-org-',
    'x-orgid',
    'x-organization',
    'x-organisation',
    'x-principal',
    'x-subject',
    'x-team',
    'x-tenant',
    'x-user',
    'impersonate-',
  ],
  // What they may do.
  ...['x-claim', 'x-permission', 'x-role', 'x-scope', 'x-hasura-'],
  // How they were authenticated.
  ...['x-auth', 'x-jwt', 'x-token', 'x-webauth', 'x-remote-', 'remote-', 'x-ssl-', 'ssl-client'],
  ...[
    'x-client-cert',
    'x-client-dn',
    'x-client-verify',
    'cf-access-',
    'x-amzn-oidc-',
    'x-goog-authenticated',
  ],
  ...['x-goog-iap-', 'x-ms-client-principal', 'x-ms-token'],
  // Which service is speaking.
  ...['x-internal', 'x-service'],
  // Where the request came from.
  ...['proxy-', 'wl-proxy-', 'x-client-ip', 'x-envoy-', 'x-forwarded', 'x-proxyuser', 'x-real-'],
  // A second path, method or way in beside the judged one (CVE-2018-14773, CVE-2025-29927).
  ...['x-original-', 'x-rewrite-', 'x-http-', 'x-middleware-'],
];

function dropped(...names: string[]): [string, Rule][] {
  return names.map((name) => [name, Rule.Drop]);
}

/**
 * Rules by the name as it was spelt, so that a usual name costs one lookup and no lower-casing. Emptied when
 * full, so that invented names cannot fill the memory.
 */
const ruleBySpelling = new Map<string, Rule>();
const SPELLINGS_MAX = 2048;

/** The rule for a header's name in any spelling. */
export function ruleOf(name: string): Rule {
  const known = ruleBySpelling.get(name);
  if (known !== undefined) return known;
  const rule = findRule(name.toLowerCase());
  if (ruleBySpelling.size >= SPELLINGS_MAX) ruleBySpelling.clear();
  ruleBySpelling.set(name, rule);
  return rule;
}

function findRule(name: string): Rule {
  const own = RULES.get(name);
  if (own !== undefined) return own;
  // Servers that map headers to variables (CGI, WSGI, Apache) read every mark as they read a hyphen. Such a
  // look-alike of a header with a rule is dropped, never taken for the header itself.
  const alike = name.replace(/[^a-z0-9]/g, '-');
  if (alike !== name && (RULES.get(alike) ?? Rule.Pass) !== Rule.Pass) return Rule.Drop;
  return DROPPED_FAMILIES.some((family) => alike.startsWith(family)) ? Rule.Drop : Rule.Pass;
}
