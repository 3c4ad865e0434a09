import { Redis } from 'ioredis';

/** A command unanswered for longer is given up; the request goes on without Redis. Milliseconds. */
const REDIS_COMMAND_TIMEOUT = 100;

/**
 * Opens a connection that never makes a request wait: no offline queue, no retries of commands, a short
 * command timeout. It reconnects by itself, for ever.
 * @param url `redis://` or `rediss://` of one server
 */
export function connectRedis(url: string, name: string): Redis {
  return new Redis(url, {
    connectionName: `gateway-${name}`,
    protocol: 2,
    commandTimeout: REDIS_COMMAND_TIMEOUT,
    connectTimeout: 1000,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    enableReadyCheck: true,
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 6), 1000) * (0.75 + Math.random() / 2),
  });
}
