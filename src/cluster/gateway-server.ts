import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type BlockList, Server as NetServer, type Socket } from 'node:net';
import { GatewayResponse } from '../pipeline/gateway-response.ts';
import { answerParserError, isRequestError } from '../pipeline/parser-errors.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import { type Refusal, refusals } from '../pipeline/verdict.ts';
import { ClientConnection } from './client-connection.ts';
import { ConnectionDrain } from './connection-drain.ts';

/** Largest request line and headers together. Bytes. */
const MAX_HEADER_SIZE = 32_768;

/** A client must have sent its head after so long. Milliseconds. */
const HEADERS_TIMEOUT = 20_000;

/** An idle connection is kept so long: longer than proxies in front keep theirs. Milliseconds. */
const KEEP_ALIVE_TIMEOUT = 75_000;

const UNKNOWN_EXPECTATION = refusals.badRequest('unknown_expectation', 417, 'expectation failed');

/** Carries what is kept of a connection. */
const kConnection = Symbol('connection');
type ClientSocket = Socket & { [kConnection]?: ClientConnection };

/** The listening server: turns connections and parsed requests into exchanges of the pipeline. */
export class GatewayServer {
  readonly #server: Server<typeof IncomingMessage, typeof GatewayResponse>;
  readonly #pipeline: Pipeline;
  readonly #proxies: BlockList;
  readonly #sockets = new Set<Socket>();
  readonly #drain = new ConnectionDrain(
    this.#sockets,
    ({ [kConnection]: connection }: ClientSocket) =>
      connection !== undefined && (connection.peer.exchange !== null || connection.continues),
  );
  /** One listener for all answers that something waits for; only pipelining needs it. */
  readonly #onAnswered: (this: ServerResponse) => void;
  #draining = false;

  constructor(pipeline: Pipeline, options: { trustedProxies: BlockList; streamIdleTimeout: number }) {
    this.#pipeline = pipeline;
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

  /** Sets how many milliseconds an idle connection is waited for by {@link drain}, also by one under way. */
  set drainIdle(milliseconds: number) {
    this.#drain.idle = milliseconds;
  }

  /**
   * Stops accepting and waits until every exchange has ended; each connection closes with its last answer.
   * Resolves to the number of connections that were cut because `timeout` milliseconds were over.
   */
  drain(timeout: number): Promise<number> {
    this.#draining = true;
    // The base class's close: the HTTP server's would cut idle connections at once, and with them requests
    // that are on their way.
    NetServer.prototype.close.call(this.#server);
    for (const socket of this.#sockets) this.#closeAfterAnswer(socket);
    return this.#drain.run(timeout);
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
