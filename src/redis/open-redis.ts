import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { parseRedisUrl, type RedisAddress } from './redis-url.ts';

/** A connection to one server (directly or through sentinels) or to a whole cluster. */
export type RedisClient = Redis | Cluster;

/**
 * What every connection of the gateway has in common: it never holds a command back (no offline queue, no
 * resending), gives an unanswered one up, and reconnects by itself, for ever.
 */
function commonOptions(address: RedisAddress, name: string, commandTimeout: number) {
  return {
    connectionName: `gateway-${name}`,
    // Pushed invalidations reach a RESP2 subscriber as messages; under RESP3 ioredis does not surface them.
    protocol: 2 as const,
    commandTimeout,
    connectTimeout: 1_000,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (attempt: number) =>
      Math.min(50 * 2 ** Math.min(attempt, 5), 500) * (0.75 + Math.random() / 2),
    ...(address.username === null ? {} : { username: address.username }),
    ...(address.password === null ? {} : { password: address.password }),
    ...(address.tls ? { tls: {} } : {}),
  } satisfies RedisOptions;
}

/**
 * Opens a connection to `url`, which the configuration has checked.
 * @param name how the connection shows in Redis's `CLIENT LIST`
 * @param commandTimeout milliseconds after which an unanswered command fails
 */
export function openRedis(url: string, name: string, commandTimeout: number): RedisClient {
  const address = addressOf(url);
  const options = commonOptions(address, name, commandTimeout);
  if (address.kind !== 'cluster') return openServer(address, options);
  return new Cluster([...address.hosts], {
    enableOfflineQueue: false,
    clusterRetryStrategy: (attempt) => Math.min(100 * attempt, 1_000),
    slotsRefreshTimeout: 1_000,
    slotsRefreshInterval: 5_000,
    // A failover is followed by the next command, not by repeating this one.
    redisOptions: { ...options, maxRetriesPerRequest: null },
  });
}

/** One node that a connection of its own can be opened to: a master of a cluster, or the only server. */
export interface RedisNode {
  /** Tells nodes apart; empty where there is only one. */
  readonly id: string;
  /** Opens a connection that sets itself up: no ready check, no subscription restored by the library. */
  open(name: string, commandTimeout: number): Redis;
}

/** The nodes that hold data now. A cluster's list changes with failovers: ask again from time to time. */
export function dataNodes(client: RedisClient, url: string): readonly RedisNode[] {
  const address = addressOf(url);
  const node = (id: string, hosts: RedisAddress['hosts']): RedisNode => ({
    id,
    open: (name, commandTimeout) =>
      openServer(
        { ...address, hosts, kind: address.kind === 'cluster' ? 'server' : address.kind },
        {
          ...commonOptions(address, name, commandTimeout),
          enableReadyCheck: false,
          autoResubscribe: false,
        },
      ),
  });
  if (!(client instanceof Cluster)) return [node('', address.hosts)];
  return client.nodes('master').map(({ options: { host = '', port = 6379 } }) => {
    return node(`${host}:${port}`, [{ host, port }]);
  });
}

type Options = ReturnType<typeof commonOptions> & Pick<RedisOptions, 'enableReadyCheck' | 'autoResubscribe'>;

function openServer(address: RedisAddress, options: Options): Redis {
  if (address.kind === 'sentinel') {
    return new Redis({
      ...options,
      sentinels: [...address.hosts],
      name: address.master,
      db: address.db,
      sentinelRetryStrategy: (attempt: number) => Math.min(50 * attempt, 500),
    });
  }
  return new Redis({ ...options, ...address.hosts[0], db: address.db });
}

function addressOf(url: string): RedisAddress {
  const address = parseRedisUrl(url);
  if (address === null) throw new TypeError('not a Redis URL');
  return address;
}
