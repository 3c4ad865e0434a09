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
  readonly #all = new Set<Client>();
  /** A stack: the warmest on top, and what is not needed stays at the bottom. */
  readonly #idle: Client[] = [];
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
    const client = this.#take();
    return client.dispatch(options, new Lease(handler, client, this));
  }

  /**
   * Dispatches a request with more headers than those of its options.
   * @param traced value of `X-Trace-Id`, and behind it lines of {@link headerLines}
   */
  send(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler, traced: string): void {
    const client = this.#take();
    dispatchTraced(client, options, new Lease(handler, client, this), traced);
  }

  /** A request is over and its connection free. */
  giveBack(client: Client): void {
    if (this.#all.has(client)) this.#idle.push(client);
  }

  /** A connection failed, or was taken over for another protocol: the next request gets a new one. */
  discard(client: Client): void {
    if (this.#all.delete(client)) void client.close();
  }

  /** Resolves once the requests under way have ended. */
  override async close(): Promise<void> {
    await Promise.all(this.#letGoOfAll().map((client) => client.close()));
  }

  /** Cuts the requests under way. */
  override async destroy(): Promise<void> {
    await Promise.all(this.#letGoOfAll().map((client) => client.destroy()));
  }

  #letGoOfAll(): Client[] {
    this.#closed = true;
    clearInterval(this.#trimTimer);
    const clients = [...this.#all];
    this.#all.clear();
    this.#idle.length = 0;
    return clients;
  }

  #take(): Client {
    if (this.#closed) throw new errors.ClientClosedError();
    const client = this.#idle.pop() ?? this.#open();
    if (this.#idle.length < this.#spare) this.#spare = this.#idle.length;
    return client;
  }

  #open(): Client {
    const client = new Client(this.#origin, this.#options);
    this.#all.add(client);
    return client;
  }

  #trim(): void {
    for (const client of this.#idle.splice(0, this.#spare)) this.discard(client);
    this.#spare = this.#idle.length;
  }
}

/** Passes on what happens to a request, and gives its connection back at the end. */
class Lease implements Dispatcher.DispatchHandler {
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #client: Client;
  readonly #connections: Connections;
  #started = false;

  constructor(handler: Dispatcher.DispatchHandler, client: Client, connections: Connections) {
    this.#handler = handler;
    this.#client = client;
    this.#connections = connections;
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
    this.#connections.discard(this.#client);
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
    this.#connections.giveBack(this.#client);
    this.#handler.onResponseEnd?.(controller, trailers);
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    // A request that did not even begin has not harmed it.
    if (this.#started) this.#connections.discard(this.#client);
    else this.#connections.giveBack(this.#client);
    this.#handler.onResponseError?.(controller, error);
  }
}
