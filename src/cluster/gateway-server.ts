import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type BlockList, Server as NetServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Exchange } from '../pipeline/exchange.ts';
import { GatewayResponse } from '../pipeline/gateway-response.ts';
import { answerParserError } from '../pipeline/parser-errors.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import { refusals } from '../pipeline/verdict.ts';
import { Peer } from '../upstream/peer.ts';

/** Largest request line and headers together. Bytes. */
const MAX_HEADER_SIZE = 32_768;

/** A client must have sent its head after so long. Milliseconds. */
const HEADERS_TIMEOUT = 20_000;

/** An idle connection is kept so long: longer than proxies in front keep theirs. Milliseconds. */
const KEEP_ALIVE_TIMEOUT = 75_000;

/** While draining, a connection idle for so long is taken to have no request on its way. Milliseconds. */
const DRAIN_IDLE = 1_000;

const DRAIN_POLL = 50;

/** Carries the peer of a connection. */
const kPeer = Symbol('peer');
type PeerSocket = Socket & { [kPeer]?: Peer<Exchange> };

/** The listening server: turns connections and parsed requests into exchanges of the pipeline. */
export class GatewayServer {
  readonly #server: Server<typeof IncomingMessage, typeof GatewayResponse>;
  readonly #pipeline: Pipeline;
  readonly #proxies: BlockList;
  readonly #sockets = new Set<Socket>();
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
      connectionsCheckingInterval: 5_000,
    });
    this.#server = server;
    server.on('connection', (socket) => this.#onConnection(socket));
    server.on('request', (request, response) => this.#onRequest(request, response, false));
    server.on('checkContinue', (request, response) => this.#onRequest(request, response, true));
    server.on('checkExpectation', (request, response) => {
      const fault = refusals.badRequest('unknown_expectation', 417, 'expectation failed');
      this.#pipeline.handle(request, response, this.#peerOf(request.socket), fault);
    });
    server.on('connect', (request, socket) => this.#onConnect(request, socket));
    server.on('clientError', (error, socket) => {
      const peer = this.#peerOf(socket as Socket); // the server listens on nothing but TCP
      answerParserError(error, socket, peer, this.#pipeline);
    });
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
    while (this.#sockets.size > 0 && Date.now() - startedAt < timeout) {
      if (this.#pipeline.exchanges.size === 0 && Date.now() - startedAt >= Math.min(DRAIN_IDLE, timeout))
        break;
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL));
    }
    const cut = this.#pipeline.exchanges.size;
    for (const socket of this.#sockets) socket.destroy();
    return cut;
  }

  #onConnection(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #onRequest(request: IncomingMessage, response: GatewayResponse, expectsContinue: boolean): void {
    if (this.#draining) response.shouldKeepAlive = false;
    this.#pipeline.handle(request, response, this.#peerOf(request.socket), null, expectsContinue);
  }

  /** `CONNECT` gives a bare socket; the pipeline refuses the method as it does any other. */
  #onConnect(request: IncomingMessage, socket: Duplex): void {
    const response = new GatewayResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket as Socket); // the server listens on nothing but TCP
    response.on('finish', () => socket.end());
    this.#pipeline.handle(request, response, this.#peerOf(socket as Socket));
  }

  #peerOf(socket: PeerSocket): Peer<Exchange> {
    socket[kPeer] ??= new Peer(socket, this.#proxies);
    return socket[kPeer];
  }

  #closeAfterAnswer(socket: PeerSocket): void {
    const response = socket[kPeer]?.exchange?.response;
    if (response !== undefined && !response.headersSent) response.shouldKeepAlive = false;
  }
}
