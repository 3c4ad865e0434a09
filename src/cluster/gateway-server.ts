import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type BlockList, Server as NetServer, type Socket } from 'node:net';
import { GatewayResponse } from '../pipeline/gateway-response.ts';
import { answerParserError, isRequestError } from '../pipeline/parser-errors.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import type { Upgrades } from '../pipeline/upgrades.ts';
import { type Refusal, refusals } from '../pipeline/verdict.ts';
import { ClientConnection } from './client-connection.ts';

/** Largest request line and headers together. Bytes. */
const MAX_HEADER_SIZE = 32_768;

/** A client must have sent its head after so long. Milliseconds. */
const HEADERS_TIMEOUT = 20_000;

/** An idle connection is kept so long: longer than proxies in front keep theirs. Milliseconds. */
const KEEP_ALIVE_TIMEOUT = 75_000;

/** While draining, a connection idle for so long is taken to have no request on its way. Milliseconds. */
const DRAIN_IDLE = 1_000;

const DRAIN_POLL = 50;

const UNKNOWN_EXPECTATION = refusals.badRequest('unknown_expectation', 417, 'expectation failed');

/** Carries what is kept of a connection. */
const kConnection = Symbol('connection');
type ClientSocket = Socket & { [kConnection]?: ClientConnection };

/** The listening server: turns connections and parsed requests into exchanges of the pipeline. */
export class GatewayServer {
  readonly #server: Server<typeof IncomingMessage, typeof GatewayResponse>;
  readonly #pipeline: Pipeline;
  readonly #upgrades: Upgrades;
  readonly #proxies: BlockList;
  readonly #sockets = new Set<Socket>();
  /** One listener for all answers that something waits for; only pipelining needs it. */
  readonly #onAnswered: (this: ServerResponse) => void;
  #draining = false;

  constructor(pipeline: Pipeline, upgrades: Upgrades, options: { trustedProxies: BlockList }) {
    this.#pipeline = pipeline;
    this.#upgrades = upgrades;
    this.#proxies = options.trustedProxies;
    const server = createServer({
      ServerResponse: GatewayResponse,
      maxHeaderSize: MAX_HEADER_SIZE,
      headersTimeout: HEADERS_TIMEOUT,
      // An upload may take hours; a stalled one is ended by its idle time.
      requestTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
      // Answered by the pipeline, with a trace id.
      requireHostHeader: false,
      // Never: what it lets through is read differently by every server behind.
      insecureHTTPParser: false,
      connectionsCheckingInterval: 5_000,
      shouldUpgradeCallback: (request) => upgrades.mayTake(request, this.#connectionOf(request.socket).peer),
    });
    this.#server = server;
    // The parser would pass over what is beyond its own limit; the pipeline refuses such a request.
    server.maxHeadersCount = 0;
    server.on('connection', (socket) => this.#onConnection(socket));
    server.on('request', (request, response) => this.#onRequest(request, response, false, null));
    server.on('checkContinue', (request, response) => this.#onRequest(request, response, true, null));
    server.on('checkExpectation', (request, response) =>
      this.#onRequest(request, response, false, UNKNOWN_EXPECTATION),
    );
    // The casts below: the server listens on nothing but TCP.
    server.on('connect', (request, socket) => this.#onConnect(request, socket as Socket));
    server.on('upgrade', (request, socket, early) => this.#onUpgrade(request, socket as Socket, early));
    server.on('clientError', (error, socket) =>
      this.#onParserError(error, this.#connectionOf(socket as Socket)),
    );
    const gateway = this;
    this.#onAnswered = function onAnswered() {
      gateway.#continue(gateway.#connectionOf(this.req.socket));
    };
  }

  /** Open client connections. */
  get connections(): number {
    return this.#sockets.size;
  }

  listen(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, backlog: 4096 }, () => resolve());
    });
  }

  /**
   * Stops accepting and waits until every exchange has ended; each connection closes with its last answer.
   * Resolves to the number of connections that were cut because `timeout` milliseconds were over.
   */
  async drain(timeout: number): Promise<number> {
    this.#draining = true;
    const startedAt = Date.now();
    // The base class's close: the HTTP server's would cut idle connections at once, and with them requests
    // that are on their way.
    NetServer.prototype.close.call(this.#server);
    for (const socket of this.#sockets) this.#closeAfterAnswer(socket);
    this.#upgrades.drain();
    while (this.#sockets.size + this.#upgrades.size > 0 && Date.now() - startedAt < timeout) {
      if (this.#open === 0 && Date.now() - startedAt >= Math.min(DRAIN_IDLE, timeout)) break;
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL));
    }
    const cut = this.#open;
    for (const socket of this.#sockets) socket.destroy();
    return cut;
  }

  /** Exchanges and tunnels that are not over. */
  get #open(): number {
    return this.#pipeline.exchanges.size + this.#upgrades.size;
  }

  #onConnection(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #onRequest(
    request: IncomingMessage,
    response: GatewayResponse,
    expectsContinue: boolean,
    fault: Refusal | null,
  ): void {
    const connection = this.#connectionOf(request.socket);
    const { exchange } = connection.peer;
    if (exchange === null) {
      if (this.#draining) response.shouldKeepAlive = false;
      this.#pipeline.handle(request, response, connection.peer, fault, expectsContinue);
    } else {
      if (!connection.continues) exchange.response.once('close', this.#onAnswered);
      connection.wait({ request, response, expectsContinue, fault });
    }
  }

  /** Takes what waited for the answer that is out now. */
  #continue(connection: ClientConnection): void {
    const next = connection.next();
    if (next !== null) {
      const { request, response, expectsContinue, fault } = next;
      if (connection.continues) response.once('close', this.#onAnswered);
      else if (this.#draining) response.shouldKeepAlive = false;
      this.#pipeline.handle(request, response, connection.peer, fault, expectsContinue);
    } else if (connection.fault !== null) {
      answerParserError(connection.fault, connection.socket, connection.peer, this.#pipeline);
    }
  }

  #onParserError(error: Error, connection: ClientConnection): void {
    const { socket, peer } = connection;
    if (connection.fault !== null) {
      // The parser fails again with all that follows, and with the end.
      if (socket.readableEnded) socket.destroy();
    } else if (peer.exchange?.request.complete === true && isRequestError(error)) {
      // What cannot be read came behind a request that could; that one is still to be answered.
      if (!connection.continues) peer.exchange.response.once('close', this.#onAnswered);
      connection.fault = error;
    } else {
      connection.fault = error;
      answerParserError(error, socket, peer, this.#pipeline);
    }
  }

  /** `CONNECT` gives a bare socket; the pipeline refuses the method as it does any other. */
  #onConnect(request: IncomingMessage, socket: Socket): void {
    // The server has let go of the socket, so its errors are the gateway's.
    socket.on('error', () => socket.destroy());
    const { peer } = this.#connectionOf(socket);
    if (peer.exchange !== null) {
      socket.destroy(); // whoever asks for a tunnel must wait for the answers before it
      return;
    }
    const response = new GatewayResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.on('finish', () => socket.end());
    this.#pipeline.handle(request, response, peer);
  }

  /** The request has no body, so the socket is the connection itself. */
  #onUpgrade(request: IncomingMessage, socket: Socket, early: Buffer): void {
    const response = new GatewayResponse(request);
    const upgrade = this.#upgrades.take(request, response, socket, early);
    this.#pipeline.handle(request, response, this.#connectionOf(socket).peer, null, false, upgrade);
  }

  #connectionOf(socket: ClientSocket): ClientConnection {
    socket[kConnection] ??= new ClientConnection(socket, this.#proxies);
    return socket[kConnection];
  }

  #closeAfterAnswer(socket: ClientSocket): void {
    const connection = socket[kConnection];
    if (connection === undefined || connection.continues) return;
    const response = connection.peer.exchange?.response;
    if (response !== undefined && !response.headersSent) response.shouldKeepAlive = false;
  }
}
