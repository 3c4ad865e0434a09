import type { IncomingMessage, ServerResponse } from 'node:http';
import { type BlockList, Server as NetServer, type Socket } from 'node:net';
import type { Config } from '../config/config.ts';
import { GatewayResponse } from '../pipeline/gateway-response.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import { type Member, Roster } from '../pipeline/roster.ts';
import { answerUnread, BODY_TIMEOUT, parserFault } from '../pipeline/unread-requests.ts';
import type { Upgrades } from '../pipeline/upgrades.ts';
import { type Refusal, refusals } from '../pipeline/verdict.ts';
import { emptyAcceptQueue } from './accept-queue.ts';
import { ClientConnection } from './client-connection.ts';
import { ConnectionDrain } from './connection-drain.ts';
import { ConnectionLimit } from './connection-limit.ts';
import { createListener, type Listener } from './listener.ts';
import { LoadShedding } from './load-shedding.ts';
import { SlowClients } from './slow-clients.ts';

const UNKNOWN_EXPECTATION = refusals.badRequest('unknown_expectation', 417, 'expectation failed');

/** Carries what is kept of a connection. */
const kConnection = Symbol('connection');
type ClientSocket = Socket & { [kConnection]?: ClientConnection } & Member;

/** Answered in any case: they cost nothing, and nginx takes a 503 of the last for a fault (contract §1). */
const NEVER_SHED = /^\/(?:health|version|auth\/verify)(?:\?|$)/;

/** Why a client's connection ended before its time; `broken`: by a reset or a failed handshake. */
export type CutReason = 'address_limit' | 'pipeline' | 'slow_answer' | 'slow_body' | 'broken' | 'tunnel';

/** The listening server: turns connections and parsed requests into exchanges of the pipeline. */
export class GatewayServer {
  readonly #server: Listener;
  readonly #pipeline: Pipeline;
  readonly #upgrades: Upgrades;
  readonly #proxies: BlockList;
  readonly #sockets = new Roster<ClientSocket>();
  /** Connections that left HTTP, or may: they end by the rules of what they carry. */
  readonly #upgraded = new WeakSet<Socket>();
  readonly #drain = new ConnectionDrain(this.#sockets, (socket) => this.#isBusy(socket));
  readonly #limit: ConnectionLimit;
  readonly #shedding: LoadShedding;
  readonly #slowClients: SlowClients;
  readonly #onCut: (reason: CutReason) => void;
  /** One listener for all answers that something waits for; only pipelining needs it. */
  readonly #onAnswered: (this: ServerResponse) => void;
  #draining = false;

  constructor(
    pipeline: Pipeline,
    upgrades: Upgrades,
    options: Pick<Config, 'listening' | 'streamIdleTimeout' | 'trustedProxies'>,
    onCut: (reason: CutReason) => void,
  ) {
    const { listening, streamIdleTimeout, trustedProxies } = options;
    this.#pipeline = pipeline;
    this.#upgrades = upgrades;
    this.#proxies = trustedProxies;
    this.#onCut = onCut;
    this.#limit = new ConnectionLimit(listening.maxConnectionsPerAddress);
    this.#shedding = new LoadShedding(listening.maxEventLoopLag);
    this.#slowClients = new SlowClients(
      {
        exchanges: pipeline.exchanges,
        bodyTooSlow: ({ request, peer }) => {
          onCut('slow_body');
          this.#connectionOf(request.socket).fault = BODY_TIMEOUT;
          answerUnread(BODY_TIMEOUT, request.socket, peer, pipeline);
        },
        answerNotTaken: ({ request }) => this.#cut(request.socket, 'slow_answer'),
      },
      { body: listening.bodyIdleTimeout, answer: streamIdleTimeout },
    );
    const server = createListener(listening, (request) =>
      upgrades.mayTake(request, this.#connectionOf(request.socket).peer),
    );
    this.#server = server;
    server.on('connection', (socket) => this.#limitConnections(socket));
    server.on(listening.tls === null ? 'connection' : 'secureConnection', (socket: Socket) => {
      if (socket.destroyed) return;
      // Node would add its field for this after the first answer, and each such change makes a socket one of another
      // shape: V8 tells four apart at a place, and there are Redis's and the upstreams' beside the clients'.
      socket.setTimeout(0);
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    server.on('request', (request, response) => this.#onRequest(request, response, false, null));
    server.on('checkContinue', (request, response) => this.#onRequest(request, response, true, null));
    server.on('checkExpectation', (request, response) =>
      this.#onRequest(request, response, false, UNKNOWN_EXPECTATION),
    );
    // The casts below: the server listens on nothing but TCP.
    server.on('connect', (request, socket) => this.#onConnect(request, socket as Socket));
    server.on('upgrade', (request, socket, early) => this.#onUpgrade(request, socket as Socket, early));
    server.on('clientError', (error, socket) => this.#onParserError(error, socket as Socket));
    const gateway = this;
    this.#onAnswered = function onAnswered() {
      gateway.#continue(gateway.#connectionOf(this.req.socket));
    };
  }

  /** Open client connections. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Share of requests refused at present because the event loop lags, from 0 to 1. */
  get shedShare(): number {
    return this.#shedding.share;
  }

  listen(host: string, port: number): Promise<void> {
    this.#shedding.start();
    this.#slowClients.start();
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
   * @param stopping whether nobody else goes on accepting from the same socket
   */
  async drain(timeout: number, stopping: boolean): Promise<number> {
    this.#draining = true;
    if (stopping) await emptyAcceptQueue(this.#server);
    // The base class's close: the HTTP server's would cut idle connections at once, and with them requests
    // that are on their way.
    NetServer.prototype.close.call(this.#server);
    for (const { request, response } of this.#pipeline.exchanges) {
      if (!response.headersSent && !this.#connectionOf(request.socket).continues)
        response.shouldKeepAlive = false;
    }
    this.#upgrades.drain();
    const cut = await this.#drain.run(timeout);
    await this.#upgrades.drained();
    this.#shedding.stop();
    this.#slowClients.stop();
    return cut;
  }

  /** Cuts a connection of an address that has too many; TLS begins later. */
  #limitConnections(socket: Socket): void {
    const { peer } = this.#connectionOf(socket);
    if (peer.trusted) return;
    const giveBack = this.#limit.take(peer.address);
    if (giveBack === null) this.#cut(socket, 'address_limit');
    else socket.on('close', giveBack);
  }

  #onRequest(
    request: IncomingMessage,
    response: GatewayResponse,
    expectsContinue: boolean,
    fault: Refusal | null,
  ): void {
    const connection = this.#connectionOf(request.socket);
    if (connection.fault !== null) return; // it was told that its connection ends
    const { exchange } = connection.peer;
    if (exchange === null) {
      if (this.#draining) response.shouldKeepAlive = false;
      this.#pipeline.handle(
        request,
        response,
        connection.peer,
        fault ?? this.#shed(request),
        expectsContinue,
      );
      return;
    }
    if (!connection.continues) exchange.response.once('close', this.#onAnswered);
    if (!connection.wait({ request, response, expectsContinue, fault }))
      this.#cut(connection.socket, 'pipeline');
  }

  #shed(request: IncomingMessage): Refusal | null {
    if (!this.#shedding.refuses() || NEVER_SHED.test(request.url ?? '')) return null;
    return refusals.overloaded;
  }

  #cut(socket: Socket, reason: CutReason): void {
    if (!socket.destroyed) this.#onCut(reason);
    socket.destroy();
  }

  /** Takes what waited for the answer that is out now. */
  #continue(connection: ClientConnection): void {
    const next = connection.next();
    if (next !== null) {
      const { request, response, expectsContinue, fault } = next;
      if (connection.continues) response.once('close', this.#onAnswered);
      else if (this.#draining) response.shouldKeepAlive = false;
      this.#pipeline.handle(
        request,
        response,
        connection.peer,
        fault ?? this.#shed(request),
        expectsContinue,
      );
    } else if (connection.fault !== null) {
      answerUnread(connection.fault, connection.socket, connection.peer, this.#pipeline);
    }
  }

  #onParserError(error: Error, socket: Socket): void {
    const fault = parserFault(error);
    if (fault === null) {
      this.#onCut('broken');
      socket.destroy();
      return;
    }
    const connection = this.#connectionOf(socket);
    const { peer } = connection;
    if (connection.fault !== null) {
      // The parser fails again with all that follows, and with the end.
      if (socket.readableEnded) socket.destroy();
      return;
    }
    // What cannot be read may have come behind a request that could; that one is still to be answered.
    const waits = peer.exchange?.request.complete === true;
    if (waits && !connection.continues) peer.exchange?.response.once('close', this.#onAnswered);
    connection.fault = fault;
    if (!waits) answerUnread(fault, socket, peer, this.#pipeline);
  }

  /** `CONNECT` gives a bare socket; the pipeline refuses the method as it does any other. */
  #onConnect(request: IncomingMessage, socket: Socket): void {
    // The server has let go of the socket, so its errors are the gateway's.
    socket.on('error', () => socket.destroy());
    const { peer } = this.#connectionOf(socket);
    if (peer.exchange !== null) {
      this.#cut(socket, 'tunnel'); // whoever asks for one must wait for the answers before it
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
    this.#upgraded.add(socket);
    const response = new GatewayResponse(request);
    const upgrade = this.#upgrades.take(request, response, socket, early);
    this.#pipeline.handle(
      request,
      response,
      this.#connectionOf(socket).peer,
      this.#shed(request),
      false,
      upgrade,
    );
  }

  #isBusy(socket: ClientSocket): boolean {
    const connection = socket[kConnection];
    if (connection === undefined) return false;
    return connection.peer.exchange !== null || connection.continues || this.#upgraded.has(socket);
  }

  #connectionOf(socket: ClientSocket): ClientConnection {
    socket[kConnection] ??= new ClientConnection(socket, this.#proxies);
    return socket[kConnection];
  }
}
