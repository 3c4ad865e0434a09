import { hash } from 'node:crypto';
import { once } from 'node:events';
import { Command } from 'ioredis';
import { openRedis, type RedisClient } from '../redis/open-redis.ts';
import { FRAME_HEAD, readFrames, type SignedEvent, signedEvent } from './frame.ts';
import type { FramedEvents } from './frame-writer.ts';
import { SpareMemory } from './spare-memory.ts';

const STREAM = 'audit:events';
const STREAM_MAX_LENGTH = 1_000_000;

/** A batch unanswered for longer has failed; it is on disk, and sent again it may arrive twice. Milliseconds. */
const COMMAND_TIMEOUT = 5_000;

/**
 * One entry per event (contract §6), one reply per batch: the id of the last entry. The events come as one argument, in
 * the records the spool holds them in: hundreds of arguments would cost the client more than the events themselves.
 */
const APPEND = `local id
local text, at = ARGV[1], 1
while at <= #text do
  local length, sig, from = string.match(text, '^e (%x+) %x+ (%S*) ()', at)
  at = at + ${FRAME_HEAD + 1} + tonumber(length, 16)
  id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', '${STREAM_MAX_LENGTH}', '*', 'data', string.sub(text, from, at - 2), 'sig', sig)
end
return id`;

const APPEND_SHA = hash('sha1', APPEND);

/** The command in the protocol's form, up to its last argument. */
const COMMAND_HEAD = ['evalsha', APPEND_SHA, '1', STREAM].reduce(
  (text, part) => `${text}$${part.length}\r\n${part}\r\n`,
  '*5\r\n',
);

/** Bytes of a command beside its last argument, at most. */
const COMMAND_ROOM = 256;

/**
 * The script with one large argument, written from memory that serves again: the library would copy it into new memory
 * for each batch.
 */
class AppendCommand extends Command {
  readonly #written: Buffer;

  /** @param memory at least {@link COMMAND_ROOM} larger than `bytes`; not touched until the command is answered */
  constructor(bytes: Buffer, memory: Buffer) {
    super('evalsha', [APPEND_SHA, '1', STREAM, bytes], { replyEncoding: 'utf8' });
    const start = memory.write(`${COMMAND_HEAD}$${bytes.length}\r\n`, 'latin1');
    bytes.copy(memory, start);
    const end = start + bytes.length;
    this.#written = memory.subarray(0, end + memory.write('\r\n', end, 'latin1'));
  }

  override toWritable(): Buffer {
    return this.#written;
  }
}

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
  readonly #spare = new SpareMemory();

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
  async append(events: FramedEvents): Promise<Appended> {
    if (!this.ready) return { lastId: null, fault: 'no connection to Redis' };
    try {
      const lastId = this.#scripts
        ? await this.#byScript(events.bytes)
        : await this.#byPipeline(events.bytes);
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

  async #byScript(bytes: Buffer): Promise<string> {
    try {
      return await this.#byLoadedScript(bytes);
    } catch (error) {
      const message = error instanceof Error ? error.message : '';
      if (message.startsWith('NOSCRIPT')) return String(await this.#redis.eval(APPEND, 1, STREAM, bytes));
      // An ACL may forbid scripts, or a proxy in between not know them.
      if (!/^NOPERM|^ERR unknown command/.test(message)) throw error;
      this.#scripts = false;
      return this.#byPipeline(bytes);
    }
  }

  async #byLoadedScript(bytes: Buffer): Promise<string> {
    const memory = this.#spare.take(bytes.length + COMMAND_ROOM);
    const command = new AppendCommand(bytes, memory);
    this.#redis.sendCommand(command);
    const lastId = String(await command.promise);
    // Not after a failure: something may still be sent from it.
    this.#spare.giveBack(memory);
    return lastId;
  }

  async #byPipeline(bytes: Buffer): Promise<string> {
    const pipeline = this.#redis.pipeline();
    for (const { payload } of readFrames(bytes).records) {
      const { data, sig } = signedEvent(payload) as SignedEvent; // they were written as such
      pipeline.xadd(STREAM, 'MAXLEN', '~', STREAM_MAX_LENGTH, '*', 'data', data, 'sig', sig);
    }
    const replies = (await pipeline.exec()) ?? [];
    const failed = replies.find(([error]) => error !== null);
    if (failed !== undefined) throw failed[0];
    return String(replies.at(-1)?.[1]);
  }
}
