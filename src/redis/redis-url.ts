/** Where Redis is, as `REDIS_URL` says it. */
export interface RedisAddress {
  readonly kind: 'server' | 'sentinel' | 'cluster';
  readonly tls: boolean;
  readonly username: string | null;
  readonly password: string | null;
  /** One server, the sentinels, or some nodes of the cluster. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  /** The sentinels' name for the master; empty elsewhere. */
  readonly master: string;
  readonly db: number;
}

/** Scheme, group, credentials, hosts, path. */
const URL_PARTS = /^(rediss?)(?:\+(sentinel|cluster))?:\/\/(?:([^@/]*)@)?([^@/?#]+)(?:\/([^?#]*))?$/;
const HOST = /^(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(\d{1,5}))?$/;

/** What may follow the hosts: a database, a master with or without a database, nothing. */
const PATHS = {
  server: /^()(\d{1,3})?$/,
  sentinel: /^([\w.-]+)(?:\/(\d{1,3}))?$/,
  cluster: /^()()$/,
} as const;

/**
 * Reads `redis://[user:password@]host[:port][/db]`, `redis+sentinel://…host,host/master[/db]` or
 * `redis+cluster://…host,host`; each with `rediss` for TLS. Null where it is none of these.
 */
export function parseRedisUrl(url: string): RedisAddress | null {
  const parts = URL_PARTS.exec(url.trim());
  if (parts === null) return null;
  const [, scheme, group, credentials = '', list = '', rest = ''] = parts;
  const kind = group === 'sentinel' || group === 'cluster' ? group : 'server';
  const path = PATHS[kind].exec(rest);
  if (path === null) return null;
  const hosts = list.split(',').map((entry) => hostOf(entry.trim(), kind === 'sentinel' ? 26_379 : 6379));
  if (hosts.includes(null) || (kind === 'server' && hosts.length > 1)) return null;
  const [username, password] = credentialsOf(credentials);
  return {
    kind,
    tls: scheme === 'rediss',
    username,
    password,
    hosts: hosts.filter((host) => host !== null),
    master: path[1] ?? '',
    db: Number(path[2] ?? 0),
  };
}

function hostOf(entry: string, defaultPort: number): { host: string; port: number } | null {
  const parts = HOST.exec(entry);
  const port = Number(parts?.[2] ?? defaultPort);
  if (parts?.[1] === undefined || port < 1 || port > 65_535) return null;
  return { host: parts[1].replace(/^\[|\]$/g, ''), port };
}

function credentialsOf(text: string): [string | null, string | null] {
  if (text === '') return [null, null];
  const colon = text.indexOf(':');
  // As redis-cli reads it: without a colon it is the password alone.
  const username = colon === -1 ? '' : text.slice(0, colon);
  return [username === '' ? null : decoded(username), decoded(text.slice(colon + 1))];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a bare percent sign in a password
  }
}
