import type { KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { BlockList } from 'node:net';
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import {
  cookieName,
  type FileReader,
  headerValue,
  httpUrl,
  httpUrls,
  integer,
  oneOf,
  onOff,
  optionalHttpUrl,
  optionalRedisUrl,
  origins,
  redisUrl,
  seconds,
  text,
  textOr,
} from './fields.ts';
import { identityKeys } from './identity-keys.ts';
import { type Listening, listeningFields, loadListening } from './listening.ts';
import { accountRoutes, defaultRoutes, parseRoutesFile, type Route, type RouteDefaults } from './routes.ts';
import { secretWeakness } from './secrets.ts';
import { trustedProxies } from './trusted-proxies.ts';

/** Everything the gateway reads from its environment (contract §10). Times come out in milliseconds. */
const environment = z.object({
  NODE_ENV: textOr('development'),
  HOST: textOr('0.0.0.0'),
  PORT: integer(0, 65_535, 8080),
  ADMIN_HOST: textOr('127.0.0.1'),
  ADMIN_PORT: integer(0, 65_535, 9464),
  WORKERS: integer(1, 1024, availableParallelism()),
  DRAIN_TIMEOUT: seconds(0, 3600, 30),
  ENV_FILE: text,
  LOG_LEVEL: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'silent'], 'info'),

  IAM_URL: httpUrl('http://omnibioai-auth:8000'),
  POLICY_URL: httpUrl('http://omnibioai-policy-engine:8001'),
  HPC_URL: httpUrl('http://omnibioai-hpc-policy-engine:8002'),
  IAM_TIMEOUT: seconds(0.05, 60, 3),
  POLICY_TIMEOUT: seconds(0.05, 60, 3),
  HPC_TIMEOUT: seconds(0.05, 60, 5),
  REDIS_URL: redisUrl,
  AUDIT_REDIS: optionalRedisUrl,

  JWT_SECRET: text,
  GATEWAY_SECRET: text,
  IAM_JWKS_URL: optionalHttpUrl,
  IAM_ISSUER: text,
  IAM_AUDIENCE: text,
  SERVICE_ACCOUNTS: onOff('off'),
  AUTH_COOKIE: cookieName,
  API_KEY_EXCHANGE_SECRET: headerValue,
  AUTH_PROXY: onOff('off'),
  IDENTITY_KEY: text,

  ROUTES_FILE: text,
  ROUTES_WATCH: oneOf(['off', 'on'], 'off'),
  ROUTE_TIMEOUT: seconds(0.05, 86_400, 15),
  ROUTE_CONCURRENCY: integer(1, 1_000_000, 1024),
  STREAM_IDLE_TIMEOUT: seconds(0.05, 86_400, 300),
  MAX_BODY: integer(0, 1_125_899_906_842_624, 10_737_418_240),
  DNS_REFRESH: seconds(0.1, 3600, 10),
  MAX_SOCKETS_PER_IDENTITY: integer(1, 1_000_000, 256),
  WORKBENCH_URL: httpUrls('http://workbench:8000'),
  TES_URL: httpUrls('http://tes:8081'),
  TOOLSERVER_URL: httpUrls('http://toolserver:9090'),
  MODEL_REGISTRY_URL: httpUrls('http://model-registry:8095'),
  RAG_URL: httpUrls('http://rag:8096'),
  LIMS_URL: httpUrls('http://lims:7000'),

  ...listeningFields,

  REVOCATION_BOUND: seconds(0.1, 60, 3),
  IDENTITY_REFRESH: seconds(1, 3600, 15),
  LIVE_GRACE: seconds(0, 3600, 30),
  IDENTITY_CACHE_TTL: seconds(0, 300, 300),
  POLICY_CACHE_TTL: seconds(0, 3600, 30),
  CACHE_MAX: integer(100, 10_000_000, 50_000),
  TRUSTED_PROXIES: text,
  CORS_ORIGINS: origins,

  AUDIT_MODE: oneOf(['async', 'strict', 'off'], 'async'),
  STATE_DIR: textOr('state'),
  AUDIT_FLUSH_INTERVAL: seconds(0.001, 10, 0.02),
  AUDIT_BACKLOG_MAX: integer(128, 10_000_000, 50_000),
  AUDIT_SPOOL_MAX: integer(1_048_576, 1_099_511_627_776, 1_073_741_824),
  AUDIT_RETENTION: seconds(0, 86_400, 600),
});

type Environment = z.infer<typeof environment>;

/** Names of all variables. */
export const VARIABLES: readonly string[] = Object.keys(environment.shape);

/** Variables whose values are never shown. */
const SECRET: readonly string[] = ['JWT_SECRET', 'GATEWAY_SECRET', 'API_KEY_EXCHANGE_SECRET', 'IDENTITY_KEY'];

/** The gateway's whole configuration: checked, typed, frozen. Times in milliseconds, sizes in bytes. */
export interface Config {
  readonly production: boolean;
  readonly host: string;
  readonly port: number;
  readonly adminHost: string;
  readonly adminPort: number;
  readonly workers: number;
  readonly drainTimeout: number;
  readonly logLevel: string;
  readonly iamUrl: string;
  readonly policyUrl: string;
  readonly hpcUrl: string;
  readonly iamTimeout: number;
  readonly policyTimeout: number;
  readonly hpcTimeout: number;
  /** Null: embedded mode, no shared cache and no broadcast. */
  readonly redisUrl: string | null;
  /** Null: audit events stay in the spool folder. */
  readonly auditRedisUrl: string | null;
  readonly jwtSecret: string;
  /** The first signs; all of them verify, so that a secret can be rotated. */
  readonly gatewaySecrets: readonly [string, ...string[]];
  readonly jwksUrl: string;
  readonly issuer: string | null;
  readonly audience: string | null;
  /** Whether OAuth clients may speak for themselves. */
  readonly serviceAccounts: boolean;
  /** Name of the cookie that may hold the access token; null: headers only. */
  readonly authCookie: string | null;
  /** Keys that sign identities: the first one signs, all are published. */
  readonly identityKeys: readonly KeyObject[];
  /** What IAM asks of those who exchange API keys; null: API keys are refused. */
  readonly apiKeyExchangeSecret: string | null;
  readonly routes: readonly Route[];
  /** The routes file, where changes to it are to be noticed. */
  readonly watchedRoutes: string | null;
  /** IAM's public paths, where `AUTH_PROXY` is on; else empty. */
  readonly accountRoutes: readonly Route[];
  readonly streamIdleTimeout: number;
  readonly dnsRefresh: number;
  readonly listening: Listening;
  readonly maxSocketsPerIdentity: number;
  readonly revocationBound: number;
  readonly identityRefresh: number;
  readonly liveGrace: number;
  readonly identityCacheTtl: number;
  readonly policyCacheTtl: number;
  readonly cacheMax: number;
  readonly trustedProxies: BlockList;
  /** Origins whose pages may call the gateway from a browser; empty: none, and CORS is not spoken. */
  readonly corsOrigins: ReadonlySet<string>;
  readonly auditMode: 'async' | 'strict' | 'off';
  readonly stateDir: string;
  readonly auditFlushInterval: number;
  readonly auditBacklogMax: number;
  readonly auditSpoolMax: number;
  readonly auditRetention: number;
}

/** Thrown by {@link loadConfig}: one line per fault, each naming its variable; no secret in any of them. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(faults.join('\n'));
    this.faults = faults;
  }
}

function checkSecrets(values: Environment, faults: string[]): void {
  for (const name of ['JWT_SECRET', 'GATEWAY_SECRET'] as const) {
    const value = values[name];
    if (value === null) {
      faults.push(`${name}: is missing, expected a random secret of at least 32 bytes`);
      continue;
    }
    // GATEWAY_SECRET may list a new and an old secret during a rotation.
    for (const secret of name === 'GATEWAY_SECRET' ? splitSecrets(value) : [value]) {
      const weakness = secretWeakness(secret);
      if (weakness !== null)
        faults.push(`${name}: ${weakness}, expected a random secret of at least 32 bytes`);
    }
  }
}

function splitSecrets(list: string): string[] {
  return list
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function routeDefaults(values: Environment): RouteDefaults {
  return {
    timeout: values.ROUTE_TIMEOUT,
    maxBody: values.MAX_BODY,
    maxConcurrency: values.ROUTE_CONCURRENCY,
  };
}

function loadRoutes(values: Environment, read: FileReader, faults: string[]): readonly Route[] {
  const defaults = routeDefaults(values);
  if (values.ROUTES_FILE === null) {
    return defaultRoutes(
      {
        workbench: values.WORKBENCH_URL,
        tes: values.TES_URL,
        toolserver: values.TOOLSERVER_URL,
        'model-registry': values.MODEL_REGISTRY_URL,
        rag: values.RAG_URL,
        lims: values.LIMS_URL,
      },
      defaults,
    );
  }
  let file: string;
  try {
    file = read(values.ROUTES_FILE);
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? error.code : 'unknown error';
    faults.push(`ROUTES_FILE: ${values.ROUTES_FILE} cannot be read (${why}), expected a JSON file`);
    return [];
  }
  const folder = dirname(values.ROUTES_FILE);
  const parsed = parseRoutesFile(file, defaults, (path) => read(resolve(folder, path)));
  faults.push(...parsed.faults.map((fault) => `ROUTES_FILE: ${fault}`));
  return parsed.routes;
}

/**
 * Parses the environment once into a frozen {@link Config}.
 * @throws {ConfigError} holding every fault found, never only the first
 */
export function loadConfig(env: NodeJS.ProcessEnv, read: FileReader = readText): Config {
  const faults: string[] = [];
  const parsed = environment.safeParse(env);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      const name = String(issue.path[0]);
      const shown = SECRET.includes(name) || /REDIS/.test(name) ? '' : `, got "${env[name]}"`;
      faults.push(`${name}: ${issue.message}${shown}`);
    }
    // The checks below need parsed values; what was unset or unreadable is checked in its default form.
    const readable = { ...env };
    for (const issue of parsed.error.issues) delete readable[String(issue.path[0])];
    const rest = environment.safeParse(readable);
    if (rest.success) checkDependentFields(rest.data, read, faults);
    throw new ConfigError(faults);
  }
  const values = parsed.data;
  const { proxies, routes, keys, listening } = checkDependentFields(values, read, faults);
  if (faults.length > 0) throw new ConfigError(faults);

  const [signing = '', ...older] = splitSecrets(values.GATEWAY_SECRET ?? '');
  return Object.freeze({
    production: values.NODE_ENV === 'production',
    host: values.HOST,
    port: values.PORT,
    adminHost: values.ADMIN_HOST,
    adminPort: values.ADMIN_PORT,
    workers: values.WORKERS,
    drainTimeout: values.DRAIN_TIMEOUT,
    logLevel: values.LOG_LEVEL,
    iamUrl: values.IAM_URL,
    policyUrl: values.POLICY_URL,
    hpcUrl: values.HPC_URL,
    iamTimeout: values.IAM_TIMEOUT,
    policyTimeout: values.POLICY_TIMEOUT,
    hpcTimeout: values.HPC_TIMEOUT,
    redisUrl: values.REDIS_URL === '' ? null : values.REDIS_URL,
    auditRedisUrl: values.AUDIT_REDIS ?? (values.REDIS_URL === '' ? null : values.REDIS_URL),
    jwtSecret: values.JWT_SECRET ?? '',
    gatewaySecrets: [signing, ...older] as const,
    jwksUrl: values.IAM_JWKS_URL ?? `${values.IAM_URL}/.well-known/jwks.json`,
    issuer: values.IAM_ISSUER,
    audience: values.IAM_AUDIENCE,
    serviceAccounts: values.SERVICE_ACCOUNTS,
    authCookie: values.AUTH_COOKIE,
    apiKeyExchangeSecret: values.API_KEY_EXCHANGE_SECRET,
    identityKeys: keys,
    routes,
    watchedRoutes: values.ROUTES_WATCH === 'on' ? values.ROUTES_FILE : null,
    accountRoutes: values.AUTH_PROXY ? accountRoutes(values.IAM_URL, routeDefaults(values)) : [],
    streamIdleTimeout: values.STREAM_IDLE_TIMEOUT,
    dnsRefresh: values.DNS_REFRESH,
    listening,
    maxSocketsPerIdentity: values.MAX_SOCKETS_PER_IDENTITY,
    revocationBound: values.REVOCATION_BOUND,
    identityRefresh: values.IDENTITY_REFRESH,
    liveGrace: values.LIVE_GRACE,
    identityCacheTtl: values.IDENTITY_CACHE_TTL,
    policyCacheTtl: values.POLICY_CACHE_TTL,
    cacheMax: values.CACHE_MAX,
    trustedProxies: proxies,
    corsOrigins: values.CORS_ORIGINS,
    auditMode: values.AUDIT_MODE,
    stateDir: values.STATE_DIR,
    auditFlushInterval: values.AUDIT_FLUSH_INTERVAL,
    auditBacklogMax: values.AUDIT_BACKLOG_MAX,
    auditSpoolMax: values.AUDIT_SPOOL_MAX,
    auditRetention: values.AUDIT_RETENTION,
  });
}

function checkDependentFields(
  values: Environment,
  read: FileReader,
  faults: string[],
): {
  proxies: BlockList;
  routes: readonly Route[];
  keys: readonly KeyObject[];
  listening: Listening;
} {
  if (values.NODE_ENV === 'production') checkSecrets(values, faults);
  return {
    proxies: trustedProxies(values.TRUSTED_PROXIES, faults),
    routes: loadRoutes(values, read, faults),
    keys: identityKeys(values.IDENTITY_KEY, read, faults),
    listening: loadListening(values, read, faults),
  };
}

function readText(path: string): string {
  return readFileSync(path, 'utf8');
}
