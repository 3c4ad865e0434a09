import { hash } from 'node:crypto';
import { once } from 'node:events';
import { openRedis, type RedisClient } from '../redis/open-redis.ts';
import type { SignedEvent } from './frame.ts';

const STREAM = 'audit:events';
const STREAM_MAX_LENGTH = 1_000_000;

/** A batch unanswered for longer has failed; it is on disk, and sent again it may arrive twice. Milliseconds. */
const COMMAND_TIMEOUT = 5_000;

/** One entry per event (contract §6), one reply per batch: the id of the last entry. */
const APPEND = `local id
for i = 1, #ARGV, 2 do
  id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', '${STREAM_MAX_LENGTH}', '*', 'data', ARGV[i], 'sig', ARGV[i + 1])
end
return id`;

const APPEND_SHA = hash('sha1', APPEND);

/** What became of a batch. */
export interface Appended {
  /** Id of the last entry; null where not all events were taken. */
  readonly lastId: string | null;
  /** Why not. */
  readonly fault: string | null;
}

/** The platform's audit stream, over a connection of its own. */
export class AuditStream {
  readonly #redis: RedisClient;
  /** Whether a user of Redis's may run scripts; asked again at each connection. */
  #scripts = true;

  /** @param onReady called each time the connection is made */
  constructor(url: string, onReady: () => void) {
    this.#redis = openRedis(url, 'audit', COMMAND_TIMEOUT);
    // Every failed batch reports its own fault; the event itself must have a listener.
    this.#redis.on('error', () => {});
    this.#redis.on('ready', () => {
      this.#scripts = true;
      onReady();
    });
  }

  get ready(): boolean {
    return this.#redis.status === 'ready';
  }

  /** Resolves once the connection is made, or after `limit` milliseconds. */
  async connected(limit: number): Promise<void> {
    if (this.ready) return;
    await once(this.#redis, 'ready', { signal: AbortSignal.timeout(limit) }).catch(() => {});
  }

  /** Appends events in order. Never rejects. */
  async append(events: readonly SignedEvent[]): Promise<Appended> {
    if (!this.ready) return { lastId: null, fault: 'no connection to Redis' };
    try {
      const lastId = this.#scripts ? await this.#byScript(events) : await this.#byPipeline(events);
      return { lastId, fault: null };
    } catch (error) {
      const fault = error instanceof Error ? error.message : String(error);
      // Whether the server hangs or the connection is dead without knowing it: only a new one can tell.
      if (fault === 'Command timed out') this.#redis.disconnect(true);
      return { lastId: null, fault };
    }
  }

  /** Whether the stream still has an entry; true where that cannot be found out. */
  async holds(id: string): Promise<boolean> {
    try {
      if ((await this.#redis.xrange(STREAM, id, id)).length > 0) return true;
      // Entries are also gone when newer ones pushed them out.
      return (await this.#redis.xlen(STREAM)) > STREAM_MAX_LENGTH * 0.9;
    } catch {
      return true;
    }
  }

  close(): void {
    this.#redis.disconnect();
  }

  async #byScript(events: readonly SignedEvent[]): Promise<string> {
    const parts: string[] = [];
    for (const { data, sig } of events) parts.push(data, sig);
    try {
      return String(await this.#redis.evalsha(APPEND_SHA, 1, STREAM, ...parts));
    } catch (error) {
      const message = error instanceof Error ? error.message : '';
      if (message.startsWith('NOSCRIPT')) return String(await this.#redis.eval(APPEND, 1, STREAM, ...parts));
      // An ACL may forbid scripts, or a proxy in between not know them.
      if (!/^NOPERM|^ERR unknown command/.test(message)) throw error;
      this.#scripts = false;
      return this.#byPipeline(events);
    }
  }

  async #byPipeline(events: readonly SignedEvent[]): Promise<string> {
    const pipeline = this.#redis.pipeline();
    for (const { data, sig } of events) {
      pipeline.xadd(STREAM, 'MAXLEN', '~', STREAM_MAX_LENGTH, '*', 'data', data, 'sig', sig);
    }
    const replies = (await pipeline.exec()) ?? [];
    const failed = replies.find(([error]) => error !== null);
    if (failed !== undefined) throw failed[0];
    return String(replies.at(-1)?.[1]);
  }
}
