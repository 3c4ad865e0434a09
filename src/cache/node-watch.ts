import type { Redis } from 'ioredis';
import type { RedisNode } from '../redis/open-redis.ts';
import { blacklistKey } from './keys.ts';

const INVALIDATION_CHANNEL = 'policy:invalidate';

/** Where a RESP2 subscriber receives pushed keys. */
const PUSH_CHANNEL = '__redis__:invalidate';

/** Milliseconds before a connection the library has given up is opened again. */
const RECONNECT_DELAY = 200;

/** What a watch reports; the texts are as Redis sent them. */
export interface WatchListener {
  onMessage(text: string): void;
  onPush(text: string): void;
  /** The connections are set up, again perhaps: what was sent before is unknown. */
  onUp(): void;
}

/**
 * Listens to one Redis node over two connections: one subscribes, the other asks for writes under the
 * blacklist to be pushed to the first. Knows since when it has missed nothing, and up to which moment that
 * is proven: answers to a ping come behind all that was sent before it.
 */
export class NodeWatch {
  /** Epoch milliseconds since which nothing was missed. */
  since = Number.POSITIVE_INFINITY;
  /** Epoch milliseconds up to which everything is known to have arrived. */
  proof = Number.NEGATIVE_INFINITY;
  /** Whether blacklist writes are pushed; false where the server or its ACL refuses. */
  tracking = false;
  readonly #subscriber: Redis;
  readonly #tracker: Redis;
  readonly #listener: WatchListener;
  readonly #silence: number;
  readonly #pulse: NodeJS.Timeout;
  #settingUp = false;
  #closed = false;
  #heardAt = Date.now();

  /** @param silence milliseconds without an answer after which the connections are renewed */
  constructor(node: RedisNode, listener: WatchListener, silence: number) {
    const beat = silence / 4;
    this.#silence = silence;
    this.#listener = listener;
    this.#subscriber = node.open('revocations', beat * 2);
    this.#tracker = node.open('tracking', beat * 2);
    for (const connection of [this.#subscriber, this.#tracker]) {
      connection.on('error', () => this.#lost()); // shows as a channel that is down
      connection.on('close', () => this.#lost());
      connection.on('ready', () => void this.#setUp());
      // Renewed while it was still asking the sentinels: the library takes that for a farewell.
      connection.on('end', () => this.#again(connection));
    }
    this.#subscriber.on('message', (channel, text) => {
      if (channel === INVALIDATION_CHANNEL) listener.onMessage(text);
      else listener.onPush(text);
    });
    this.#pulse = setInterval(() => void this.#beat(), beat);
  }

  /** Whether the connections are set up. */
  get up(): boolean {
    return this.since !== Number.POSITIVE_INFINITY;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#pulse);
    this.#subscriber.disconnect();
    this.#tracker.disconnect();
  }

  #lost(): void {
    this.since = Number.POSITIVE_INFINITY;
    this.tracking = false;
  }

  /** Subscribes and asks for pushes, once both connections are there; again whenever either was renewed. */
  async #setUp(): Promise<void> {
    if (this.#settingUp || this.#subscriber.status !== 'ready' || this.#tracker.status !== 'ready') return;
    this.#settingUp = true;
    const startedAt = Date.now();
    try {
      // A renewed pair begins anew: a subscriber may not ask for its id.
      await this.#subscriber.unsubscribe();
      const id = await this.#subscriber.client('ID');
      await this.#subscriber.subscribe(INVALIDATION_CHANNEL, PUSH_CHANNEL);
      this.tracking = await this.#track(id);
      this.proof = startedAt;
      this.#heardAt = Date.now();
      this.since = this.#heardAt;
      this.#listener.onUp();
    } catch {
      this.#renew();
    } finally {
      this.#settingUp = false;
    }
  }

  async #track(subscriberId: number): Promise<boolean> {
    try {
      await this.#tracker.call('CLIENT', 'TRACKING', 'OFF');
      await this.#tracker.call(
        'CLIENT',
        'TRACKING',
        'ON',
        'REDIRECT',
        String(subscriberId),
        'BCAST',
        'PREFIX',
        blacklistKey(''),
      );
      return true;
    } catch (error) {
      if (this.#tracker.status !== 'ready' || !isRefusal(error)) throw error;
      return false; // shown by /ready: background re-validation carries the load
    }
  }

  async #beat(): Promise<void> {
    const sentAt = Date.now();
    try {
      if (this.up) {
        await Promise.all([this.#subscriber.ping(), this.#tracker.ping()]);
        // Renewed meanwhile: the answer says nothing about the new connections.
        if (this.up && sentAt >= this.since) this.proof = sentAt;
        this.#heardAt = Date.now();
        return;
      }
    } catch {
      // Decided below: one late answer is not yet a dead connection.
    }
    if (Date.now() - this.#heardAt > this.#silence) this.#renew();
  }

  #again(connection: Redis): void {
    if (this.#closed) return;
    setTimeout(() => {
      if (!this.#closed) connection.connect().catch(() => {}); // reported by its events
    }, RECONNECT_DELAY);
  }

  #renew(): void {
    this.#lost();
    this.#heardAt = Date.now();
    this.#subscriber.disconnect(true);
    this.#tracker.disconnect(true);
  }
}

/** Redis answered and said no (`NOPERM`, an unknown command), as opposed to not answering. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && /^(NOPERM|ERR)\b/.test(error.message);
}
