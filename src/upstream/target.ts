import { isIP } from 'node:net';
import type { RouteTls } from '../config/route-tls.ts';
import { Breaker, type Standing } from './breaker.ts';
import type { TargetFault } from './call.ts';
import { Connections } from './connections.ts';
import { NameWatch } from './name-watch.ts';

/** How connections to a target are made. */
export interface TargetOptions {
  /** Milliseconds. */
  readonly connectTimeout: number;
  /** Milliseconds between two looks at what the target's name resolves to. */
  readonly dnsRefresh: number;
  readonly tls: RouteTls | null;
}

/** One instance of a service: its connections, what is under way on them, and how it stands. */
export class Target {
  /** Base URL as configured. */
  readonly url: string;
  readonly origin: string;
  /** Path in front of every request's; empty for the root. */
  readonly basePath: string;
  readonly options: TargetOptions;
  /** How undici is to connect to it. */
  readonly connect: { readonly timeout: number } & Partial<RouteTls>;
  readonly breaker = new Breaker();
  /** Requests that were sent to it and are not over. */
  inFlight = 0;
  /** What went wrong last. */
  lastFault: TargetFault | 'status' | null = null;
  /** Whether it fails its active checks. */
  checkFailed = false;
  #pool: Connections;
  readonly #names: NameWatch | null;

  constructor(url: string, options: TargetOptions) {
    const { origin, pathname, hostname } = new URL(url);
    this.url = url;
    this.origin = origin;
    this.basePath = pathname === '/' ? '' : pathname;
    this.options = options;
    this.connect = { timeout: options.connectTimeout, ...options.tls };
    this.#pool = this.#open();
    const isAddress = hostname.startsWith('[') || isIP(hostname) !== 0;
    this.#names = isAddress ? null : new NameWatch(hostname, options.dnsRefresh, () => this.#reconnect());
  }

  /** Whether requests may go to it as a matter of course. */
  get isUp(): boolean {
    return this.breaker.closed && !this.checkFailed;
  }

  get standing(): Standing {
    return this.checkFailed && this.breaker.closed ? 'ejected' : this.breaker.standing;
  }

  /** Its connections. Do not keep: they are replaced when the target's name comes to mean another address. */
  get pool(): Connections {
    return this.#pool;
  }

  async close(): Promise<void> {
    this.#names?.close();
    await this.#pool.close();
  }

  /** Connections made from now on resolve the name anew; those in use end with their requests. */
  #reconnect(): void {
    const old = this.#pool;
    this.#pool = this.#open();
    void old.close();
  }

  #open(): Connections {
    return new Connections(this.origin, {
      pipelining: 1,
      allowH2: false,
      connect: this.connect,
      keepAliveTimeout: 30_000,
      keepAliveMaxTimeout: 300_000,
      maxHeaderSize: 65_536,
      // Whoever waits for an answer looks after it himself: a timer for each request costs more than all looks.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }
}
