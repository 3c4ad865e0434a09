import { z } from 'zod';
import { type FileReader, httpUrlFault, withoutTrailingSlash } from './fields.ts';
import { type RouteTls, tlsField } from './route-tls.ts';

/** How targets are asked whether they are well. */
export interface HealthCheck {
  /** Behind the target's base path. */
  readonly path: string;
  /** Milliseconds between two checks. */
  readonly interval: number;
}

/** One row of the route table (contract §1): which paths belong to a service, and what its callers need. */
export interface Route {
  /** The platform's key for the service, used in policy questions, service tokens, metrics and audit. */
  readonly service: string;
  /** Public path prefix without trailing slash, `/api/tes`. Stripped before forwarding. */
  readonly prefix: string;
  /** The old form of the prefix without trailing slash, `/tes`. What policy judges is always in this form. */
  readonly legacyPrefix: string;
  /** Whether requests may use the old form too. */
  readonly acceptsLegacyPrefix: boolean;
  /** Base URLs of the service's instances, without trailing slash. */
  readonly targets: readonly string[];
  /** Permission sent to policy as the action; null: the action is made from method and path. */
  readonly permission: string | null;
  /** Whether requests are checked against the compute quota. */
  readonly compute: boolean;
  /** Paths behind the prefix whose POST body states a resource demand (contract §5). */
  readonly submissions: readonly string[];
  /** Milliseconds until the first byte of the response head. */
  readonly timeout: number;
  /** Largest request body. Bytes. */
  readonly maxBody: number;
  /** Requests at once to the service, over all workers; more wait for a moment and are then refused. */
  readonly maxConcurrency: number;
  /** Null: only what becomes of requests tells how a target is. */
  readonly healthCheck: HealthCheck | null;
  /** Null: what is usual for the targets' URLs. */
  readonly tls: RouteTls | null;
  /** Whether `%2F` may occur in the path, as in model names. */
  readonly allowEncodedSlash: boolean;
  /** Services of the platform that may call without a user, by the name in their service token (contract §7). */
  readonly services: readonly string[];
  /** Whether the service gets a signed statement of who is calling, `X-Identity-Assertion`. */
  readonly identityAssertion: boolean;
  /** Protocols that requests may leave HTTP for by `Upgrade`, in lower case. */
  readonly upgrades: readonly string[];
}

const SEGMENT = '[A-Za-z0-9._~-]+';
const PREFIX = new RegExp(`^(/${SEGMENT})+/?$`);
const PREFIX_EXPECTED = 'expected a path such as /api/name/ without dot segments';
const RESERVED = ['/health', '/version', '/auth', '/.well-known'];

const prefixField = z
  .string(PREFIX_EXPECTED)
  .regex(PREFIX, PREFIX_EXPECTED)
  .refine((value) => !/\/\.{1,2}(\/|$)/.test(value), PREFIX_EXPECTED)
  .transform(withoutTrailingSlash)
  .refine((value) => !RESERVED.includes(value), 'is kept for an endpoint of the gateway itself');

const targetField = z
  .string('expected a URL beginning with http:// or https://')
  .superRefine((value, context) => {
    const fault = httpUrlFault(value);
    if (fault !== null) context.addIssue({ code: 'custom', message: fault });
  })
  .transform(withoutTrailingSlash);

const SERVICE_NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;
const SERVICE_NAME_EXPECTED = 'expected a name of a-z, 0-9 and -';
/** HTTP in another version is HTTP all the same, past the pipeline; TLS would hide it. */
const UPGRADE = /^(?!h2c?$|http\/|http$|tls\/|tls$)[a-z0-9!#$%&'*+.^_`|~-]+(\/[a-z0-9!#$%&'*+.^_`|~-]+)?$/;

const upgradeField = z
  .string('expected a protocol')
  .transform((value) => value.toLowerCase())
  .refine((value) => UPGRADE.test(value), 'expected a protocol such as websocket, not a form of HTTP or TLS');

/** What a route allows that does not say. */
const UPGRADES: readonly string[] = ['websocket'];

const INTERVAL_EXPECTED = 'expected seconds from 0.1 to 3600';

const healthCheckField = z
  .strictObject({
    path: z.string('expected a path').regex(/^\/[\x21-\x7e]*$/, 'expected a path beginning with /'),
    interval: z.number(INTERVAL_EXPECTED).min(0.1, INTERVAL_EXPECTED).max(3600, INTERVAL_EXPECTED).default(5),
  })
  .transform(({ path, interval }): HealthCheck => ({ path, interval: Math.round(interval * 1000) }));

const routeField = (read: FileReader) =>
  z
    .strictObject({
      service: z.string('expected a name').regex(SERVICE_NAME, SERVICE_NAME_EXPECTED),
      prefix: prefixField,
      legacyPrefix: prefixField.optional(),
      target: z.union([targetField, z.array(targetField).min(1)], 'expected a URL or a list of URLs'),
      permission: z
        .string('expected a permission or null')
        .regex(/^[\w.:-]{1,128}$/, 'expected a permission such as workflow.execute')
        .nullable()
        .default(null),
      compute: z.boolean('expected true or false').default(false),
      submissions: z
        .array(z.string('expected a path').startsWith('/', 'expected a path beginning with /'))
        .default([]),
      timeout: z
        .number('expected seconds')
        .min(0.05, 'expected seconds from 0.05 to 86400')
        .max(86_400, 'expected seconds from 0.05 to 86400')
        .optional(),
      maxBody: z.int('expected a number of bytes').min(0, 'expected a number of bytes').optional(),
      maxConcurrency: z
        .int('expected a whole number above 0')
        .min(1, 'expected a whole number above 0')
        .optional(),
      healthCheck: healthCheckField.optional(),
      tls: tlsField(read).optional(),
      allowEncodedSlash: z.boolean('expected true or false').default(false),
      services: z
        .array(z.string(SERVICE_NAME_EXPECTED).regex(SERVICE_NAME, SERVICE_NAME_EXPECTED))
        .default([]),
      identityAssertion: z.boolean('expected true or false').default(false),
      upgrades: z.array(upgradeField).readonly().default(UPGRADES),
    })
    .readonly();

const routesFile = (read: FileReader) =>
  z
    .strictObject({ routes: z.array(routeField(read)).min(1, 'expected at least one route') })
    .superRefine(({ routes }, context) => {
      const taken = new Map<string, number>();
      routes.forEach((route, index) => {
        for (const prefix of new Set([route.prefix, route.legacyPrefix])) {
          if (prefix === undefined) continue;
          const other = taken.get(prefix);
          if (other !== undefined) {
            context.addIssue({
              code: 'custom',
              path: ['routes', index, 'prefix'],
              message: `${prefix} is already taken by routes[${other}]`,
            });
          }
          taken.set(prefix, index);
        }
      });
    });

function jsonPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : `${text}.${String(part)}`),
    '$',
  );
}

/** What holds for rows that do not say. */
export type RouteDefaults = Pick<Route, 'timeout' | 'maxBody' | 'maxConcurrency'>;

/**
 * Reads the text of a routes file. Gives the table, or every fault in it, each with its JSON path.
 * @param read gives the files it names; takes relative paths from where it lies
 */
export function parseRoutesFile(
  text: string,
  defaults: RouteDefaults,
  read: FileReader,
): { routes: readonly Route[]; faults: readonly string[] } {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    return { routes: [], faults: [`$ is not JSON: ${error instanceof Error ? error.message : error}`] };
  }
  const parsed = routesFile(read).safeParse(document);
  if (!parsed.success) {
    return {
      routes: [],
      faults: parsed.error.issues.map((issue) => `${jsonPath(issue.path)}: ${issue.message}`),
    };
  }
  const routes = parsed.data.routes.map(
    (row): Route =>
      Object.freeze({
        service: row.service,
        prefix: row.prefix,
        legacyPrefix: row.legacyPrefix ?? `/${row.service}`,
        acceptsLegacyPrefix: row.legacyPrefix !== undefined,
        targets: typeof row.target === 'string' ? [row.target] : row.target,
        permission: row.permission,
        compute: row.compute,
        submissions: row.submissions,
        timeout: row.timeout === undefined ? defaults.timeout : Math.round(row.timeout * 1000),
        maxBody: row.maxBody ?? defaults.maxBody,
        maxConcurrency: row.maxConcurrency ?? defaults.maxConcurrency,
        healthCheck: row.healthCheck ?? null,
        tls: row.tls ?? null,
        allowEncodedSlash: row.allowEncodedSlash,
        services: row.services,
        identityAssertion: row.identityAssertion,
        upgrades: row.upgrades,
      }),
  );
  return { routes, faults: [] };
}

/** Targets of the six services of the platform, by service key. */
export interface ServiceTargets {
  readonly workbench: readonly string[];
  readonly tes: readonly string[];
  readonly toolserver: readonly string[];
  readonly 'model-registry': readonly string[];
  readonly rag: readonly string[];
  readonly lims: readonly string[];
}

/** RAG may think for five minutes before its first byte (contract §1). Milliseconds. */
const RAG_TIMEOUT = 300_000;

/** Where TES takes jobs: the platform's own form and GA4GH's. */
const TES_SUBMISSIONS = ['/api/runs/submit', '/v1/tasks', '/ga4gh/tes/v1/tasks'];

/** What is the same for all rows that ask for nothing special. */
function plainRow(
  row: Pick<Route, 'service' | 'prefix' | 'legacyPrefix' | 'targets'> & RouteDefaults,
): Route {
  return {
    ...row,
    acceptsLegacyPrefix: false,
    permission: null,
    compute: false,
    submissions: [],
    healthCheck: null,
    tls: null,
    allowEncodedSlash: false,
    services: [],
    identityAssertion: false,
    upgrades: [],
  };
}

/**
 * IAM's public paths (contract §9), which need no token: `legacyPrefix` is where they are at IAM. It knows
 * the old license server's paths without `/api`.
 */
export function accountRoutes(iamUrl: string, defaults: RouteDefaults): readonly Route[] {
  const places: [prefix: string, atIam: string][] = [
    ['/auth', '/auth'],
    ['/_svc/auth', ''],
    ['/license', '/license'],
    ['/api/license', '/license'],
    ['/roles', '/roles'],
    ['/users', '/users'],
    ['/orgs', '/orgs'],
  ];
  return places.map(([prefix, legacyPrefix]) =>
    Object.freeze(plainRow({ service: 'iam', prefix, legacyPrefix, targets: [iamUrl], ...defaults })),
  );
}

/** The platform's own table (contract §1). */
export function defaultRoutes(targets: ServiceTargets, defaults: RouteDefaults): readonly Route[] {
  const row = (
    service: keyof ServiceTargets,
    publicName: string,
    permission: string | null,
    compute: boolean,
    special: Partial<Route> = {},
  ): Route =>
    Object.freeze({
      ...plainRow({
        service,
        prefix: `/api/${publicName}`,
        legacyPrefix: `/${service}`,
        targets: targets[service],
        ...defaults,
      }),
      acceptsLegacyPrefix: true,
      permission,
      compute,
      submissions: [],
      ...defaults,
      healthCheck: null,
      tls: null,
      allowEncodedSlash: false,
      services: [],
      upgrades: UPGRADES,
      ...special,
    });
  return [
    row('workbench', 'workbench', 'workflow.execute', true),
    row('tes', 'tes', 'workflow.execute', true, { submissions: TES_SUBMISSIONS }),
    row('toolserver', 'tools', 'workflow.execute', true),
    row('model-registry', 'models', 'model.use', false, { allowEncodedSlash: true }),
    row('rag', 'rag', 'dataset.read', false, { timeout: Math.max(RAG_TIMEOUT, defaults.timeout) }),
    row('lims', 'lims', null, false),
  ];
}
