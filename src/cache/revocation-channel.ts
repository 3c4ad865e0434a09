import { dataNodes, type RedisClient, type RedisNode } from '../redis/open-redis.ts';
import { NodeWatch } from './node-watch.ts';
import { type Revocation, readInvalidation, readPushedKeys } from './revocation-message.ts';
import type { Trust } from './two-tier-cache.ts';

/** How often a cluster's list of masters is read again. Milliseconds. */
const NODES_INTERVAL = 500;

/** `degraded`: messages arrive, but Redis does not push writes to the blacklist. */
export type ChannelState = 'live' | 'degraded' | 'down';

/** Told of what arrives. */
export interface ChannelObserver {
  onRevocation(revocation: Revocation): void;
  /** The channel was set up, or lost a part: what was sent before is unknown. */
  onUp(): void;
}

/**
 * Hears of revocations from every Redis node that holds data, and says from which moment on knowledge may
 * be trusted. Two rules keep the bound: while everything sent up to a moment no longer ago than the window
 * is proven to have arrived, all that was learnt since the channel came up is good; otherwise only what was
 * learnt within the window is.
 */
export class RevocationChannel implements Trust {
  readonly window: number;
  readonly #watches = new Map<string, NodeWatch>();
  /** The same watches, for a loop that makes no iterator. */
  #watched: readonly NodeWatch[] = [];
  readonly #listener = {
    onMessage: (text: string) => this.#observer.onRevocation(readInvalidation(text)),
    onPush: (text: string) => this.#observer.onRevocation(readPushedKeys(text)),
    onUp: () => this.#observer.onUp(),
  };
  readonly #observer: ChannelObserver;
  readonly #nodes: () => readonly RedisNode[];
  readonly #timer: NodeJS.Timeout;
  /** Epoch milliseconds at which a node was given up: what it had still to say is unknown. */
  #lostNodeAt = Number.NEGATIVE_INFINITY;

  /** @param window milliseconds; below the revocation bound by what an answer still takes */
  constructor(client: RedisClient, url: string, window: number, observer: ChannelObserver) {
    this.window = window;
    this.#observer = observer;
    this.#nodes = () => dataNodes(client, url);
    this.#follow();
    this.#timer = setInterval(() => this.#follow(), NODES_INTERVAL);
  }

  floor(now: number): number {
    let since = this.#lostNodeAt;
    let proof = this.#watched.length === 0 ? Number.NEGATIVE_INFINITY : now;
    for (let i = 0; i < this.#watched.length; i++) {
      const watch = this.#watched[i] as NodeWatch; // i is within the list
      if (watch.since > since) since = watch.since;
      if (watch.proof < proof) proof = watch.proof;
    }
    const windowed = now - this.window;
    if (since === Number.POSITIVE_INFINITY) return windowed;
    return proof >= windowed || since > windowed ? since : windowed;
  }

  get state(): ChannelState {
    const watches = this.#watched;
    const proven = Date.now() - this.window;
    if (watches.length === 0 || watches.some((watch) => !watch.up || watch.proof < proven)) return 'down';
    return watches.every((watch) => watch.tracking) ? 'live' : 'degraded';
  }

  close(): void {
    clearInterval(this.#timer);
    for (const watch of this.#watches.values()) watch.close();
  }

  /** Watches the nodes there are now. A cluster that cannot be reached keeps those it had. */
  #follow(): void {
    const nodes = this.#nodes();
    if (nodes.length === 0) return;
    for (const node of nodes) {
      if (!this.#watches.has(node.id)) {
        this.#watches.set(node.id, new NodeWatch(node, this.#listener, this.window / 2));
      }
    }
    for (const [id, watch] of this.#watches) {
      if (nodes.some((node) => node.id === id)) continue;
      watch.close();
      this.#watches.delete(id);
      this.#lostNodeAt = Date.now();
      this.#observer.onUp();
    }
    this.#watched = [...this.#watches.values()];
  }
}

/** Without a channel nothing is trusted for longer than the window. */
export class WindowTrust implements Trust {
  readonly window: number;

  constructor(window: number) {
    this.window = window;
  }

  floor(now: number): number {
    return now - this.window;
  }
}
