import { Redis } from 'ioredis';
import type { SignedEvent } from './spool.ts';

const STREAM = 'audit:events';
const MAX_LENGTH = 1_000_000;

/** A batch unanswered for longer has failed; it goes to the spool and may arrive twice. Milliseconds. */
const COMMAND_TIMEOUT = 2_000;

/** So many events travel in one write. */
const CHUNK = 512;

/** The platform's audit stream (contract §6): one entry per event. */
export class AuditStream {
  readonly #redis: Redis;

  constructor(url: string) {
    this.#redis = new Redis(url, {
      connectionName: 'gateway-audit',
      commandTimeout: COMMAND_TIMEOUT,
      connectTimeout: COMMAND_TIMEOUT,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      retryStrategy: (attempt) => Math.min(100 * attempt, 1_000),
    });
    // Every failed batch reports its own fault; the event itself must have a listener.
    this.#redis.on('error', () => {});
  }

  /** Appends events in order. Gives null, or why not all of them were taken. */
  async append(events: readonly SignedEvent[]): Promise<string | null> {
    for (let i = 0; i < events.length; i += CHUNK) {
      const fault = await this.#appendChunk(events.slice(i, i + CHUNK));
      if (fault !== null) return fault;
    }
    return null;
  }

  async #appendChunk(events: readonly SignedEvent[]): Promise<string | null> {
    const pipeline = this.#redis.pipeline();
    for (const { data, sig } of events) {
      pipeline.xadd(STREAM, 'MAXLEN', '~', MAX_LENGTH, '*', 'data', data, 'sig', sig);
    }
    try {
      const replies = (await pipeline.exec()) ?? [];
      const failed = replies.find(([error]) => error !== null);
      return failed === undefined ? null : (failed[0]?.message ?? 'unknown error');
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
}
