import type { Identity } from '../platform/identity.ts';
import type { Auth } from './auth.ts';

/** Why a connection was ended although nobody asked for it. */
export type EndReason = 'revoked' | 'expired';

/** Something open for a caller: a request being answered, a stream, a WebSocket. */
export interface LiveConnection {
  /** Null: nobody was authenticated (yet), so there is nothing to revoke. */
  readonly identity: Identity | null;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  /** Whether it may outlive its token by the grace time: answers that end by themselves. */
  readonly graceful: boolean;
  end(reason: EndReason): void;
}

/** Parts of the revocation bound: between two looks, and for a credential nobody can be asked about. */
const SWEEP_SHARE = 1 / 6;
const PATIENCE_SHARE = 1 / 2;

/** What is younger was authenticated just now. Milliseconds. */
const YOUNG = 1_000;

/** A look out of turn, after a revocation, waits so long for company. Milliseconds. */
const SWEEP_DELAY = 5;

/**
 * Ties everything open to the identity it was opened with: what its token could not do any more is cut
 * within the revocation bound, and what outlives its token too.
 */
export class LiveConnections {
  readonly #auth: Auth;
  readonly #exchanges: () => Iterable<LiveConnection>;
  readonly #tunnels = new Set<LiveConnection>();
  /** Credentials being asked about, with the epoch milliseconds since when there is no certain answer. */
  readonly #doubts = new Map<string, number>();
  readonly #interval: number;
  readonly #patience: number;
  readonly #grace: number;
  readonly #timer: NodeJS.Timeout;
  #soon: NodeJS.Timeout | null = null;

  /**
   * @param exchanges requests being answered at the moment
   * @param options.bound milliseconds within which what was revoked is cut
   * @param options.grace milliseconds an ordinary answer may outlive its token
   */
  constructor(
    auth: Auth,
    exchanges: () => Iterable<LiveConnection>,
    options: { bound: number; grace: number },
  ) {
    this.#auth = auth;
    this.#exchanges = exchanges;
    this.#interval = options.bound * SWEEP_SHARE;
    this.#patience = options.bound * PATIENCE_SHARE;
    this.#grace = options.grace;
    this.#timer = setInterval(() => this.#sweep(YOUNG), this.#interval);
    this.#timer.unref();
  }

  /** Registers a connection that is no exchange any more. */
  add(connection: LiveConnection): void {
    this.#tunnels.add(connection);
  }

  delete(connection: LiveConnection): void {
    this.#tunnels.delete(connection);
  }

  /** Something was revoked: looks at everything at once. */
  lookSoon(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = null;
      this.#sweep(0);
    }, SWEEP_DELAY);
  }

  close(): void {
    clearInterval(this.#timer);
    if (this.#soon !== null) clearTimeout(this.#soon);
  }

  #sweep(minimumAge: number): void {
    const now = Date.now();
    for (const exchange of this.#exchanges()) {
      if (now - exchange.startedAt >= minimumAge) this.#look(exchange, now);
    }
    for (const tunnel of this.#tunnels) this.#look(tunnel, now);
  }

  #look(connection: LiveConnection, now: number): void {
    const { identity } = connection;
    if (identity === null) return;
    if (now >= identity.facts.expiresAt + (connection.graceful ? this.#grace : 0)) {
      connection.end('expired');
      return;
    }
    const { credential } = identity;
    if (now >= identity.facts.expiresAt || this.#auth.knows(credential, now)) return;
    const doubtedAt = this.#doubts.get(credential);
    if (doubtedAt === undefined) void this.#settle(credential, now);
    else if (now - doubtedAt >= this.#patience) connection.end('revoked');
  }

  /** Asks until there is a certain answer; meanwhile {@link #look} loses patience. */
  async #settle(credential: string, doubtedAt: number): Promise<void> {
    this.#doubts.set(credential, doubtedAt);
    try {
      for (;;) {
        const standing = await this.#auth.standing(credential);
        if (standing === 'refused') this.#endAll(credential);
        if (standing !== 'unknown' || !this.#isOpen(credential)) return;
        await new Promise((resolve) => setTimeout(resolve, this.#interval).unref());
      }
    } finally {
      this.#doubts.delete(credential);
    }
  }

  #endAll(credential: string): void {
    for (const connection of this.#of(credential)) connection.end('revoked');
  }

  #isOpen(credential: string): boolean {
    return this.#of(credential).length > 0;
  }

  #of(credential: string): LiveConnection[] {
    return [...this.#exchanges(), ...this.#tunnels].filter(
      ({ identity }) => identity?.credential === credential,
    );
  }
}
