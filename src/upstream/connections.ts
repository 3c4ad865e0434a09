import type { IncomingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import { Client, Dispatcher, errors } from 'undici';
import { dispatchTraced } from './traced-dispatch.ts';

/** How often connections nobody needed meanwhile are let go of. Milliseconds. */
const TRIM_INTERVAL = 30_000;

/**
 * Connections to one target, as many as there are requests at once, one request on each at a time. What the library's
 * `Pool` does, but the connection used last is found at once: a pool looks through all of them for each request and
 * tells itself in an event that one has become free. With 64 requests at once that saves 3 µs of 42, with 2,000 a
 * quarter.
 */
export class Connections extends Dispatcher {
  readonly #origin: string;
  readonly #options: Client.Options;
  readonly #all = new Set<Connection>();
  /** A stack: the warmest on top, and what is not needed stays at the bottom. */
  readonly #idle: Connection[] = [];
  /** The lowest height of the stack since the last trim. */
  #spare = 0;
  readonly #trimTimer: NodeJS.Timeout;
  #closed = false;

  constructor(origin: string, options: Client.Options) {
    super();
    this.#origin = origin;
    this.#options = options;
    this.#trimTimer = setInterval(() => this.#trim(), TRIM_INTERVAL);
    this.#trimTimer.unref();
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const connection = this.#take();
    return connection.client.dispatch(options, new Lease(handler, connection));
  }

  /**
   * Dispatches a request with more headers than those of its options.
   * @param traced value of `X-Trace-Id`, and behind it lines of `headerLines`
   */
  send(options: Dispatcher.DispatchOptions, tenant: Tenant, traced: string): void {
    const connection = this.#take();
    tenant.connection = connection;
    dispatchTraced(connection.client, options, tenant, traced);
  }

  /** A request is over and its connection free. */
  giveBack(connection: Connection): void {
    if (this.#all.has(connection)) this.#idle.push(connection);
  }

  /** A connection failed, or was taken over for another protocol: the next request gets a new one. */
  discard(connection: Connection): void {
    if (this.#all.delete(connection)) void connection.client.close();
  }

  /** Resolves once the requests under way have ended. */
  override async close(): Promise<void> {
    await Promise.all(this.#letGoOfAll().map(({ client }) => client.close()));
  }

  /** Cuts the requests under way. */
  override async destroy(): Promise<void> {
    await Promise.all(this.#letGoOfAll().map(({ client }) => client.destroy()));
  }

  #letGoOfAll(): Connection[] {
    this.#closed = true;
    clearInterval(this.#trimTimer);
    const connections = [...this.#all];
    this.#all.clear();
    this.#idle.length = 0;
    return connections;
  }

  #take(): Connection {
    if (this.#closed) throw new errors.ClientClosedError();
    const connection = this.#idle.pop() ?? this.#open();
    if (this.#idle.length < this.#spare) this.#spare = this.#idle.length;
    return connection;
  }

  #open(): Connection {
    const connection = new Connection(new Client(this.#origin, this.#options), this);
    this.#all.add(connection);
    return connection;
  }

  #trim(): void {
    for (const connection of this.#idle.splice(0, this.#spare)) this.discard(connection);
    this.#spare = this.#idle.length;
  }
}

/** One connection, used by one request after the other. */
export class Connection {
  readonly client: Client;
  readonly #owner: Connections;

  constructor(client: Client, owner: Connections) {
    this.client = client;
    this.#owner = owner;
  }

  giveBack(): void {
    this.#owner.giveBack(this);
  }

  discard(): void {
    this.#owner.discard(this);
  }
}

/** Takes the answer to a request, and sees to its connection at the end: gives it back, or discards it. */
export interface Tenant extends Dispatcher.DispatchHandler {
  connection: Connection | null;
}

/** Passes on what happens to a request of somebody who knows of no connection, and sees to that. */
class Lease implements Dispatcher.DispatchHandler {
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #connection: Connection;
  #started = false;

  constructor(handler: Dispatcher.DispatchHandler, connection: Connection) {
    this.#handler = handler;
    this.#connection = connection;
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.#started = true;
    this.#handler.onRequestStart?.(controller, context);
  }

  onRequestUpgrade(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
    socket: Duplex,
  ): void {
    this.#connection.discard();
    this.#handler.onRequestUpgrade?.(controller, status, headers, socket);
  }

  onResponseStarted(): void {
    this.#handler.onResponseStarted?.();
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
    message?: string,
  ): void {
    this.#handler.onResponseStart?.(controller, status, headers, message);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#handler.onResponseData?.(controller, chunk);
  }

  onResponseEnd(controller: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    this.#connection.giveBack();
    this.#handler.onResponseEnd?.(controller, trailers);
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    // A request that did not even begin has not harmed it.
    if (this.#started) this.#connection.discard();
    else this.#connection.giveBack();
    this.#handler.onResponseError?.(controller, error);
  }
}
