import type { Socket } from 'node:net';
import type { UpgradeAnswer } from '../upstream/call.ts';
import { switchesAsAsked } from '../upstream/websocket/handshake.ts';
import type { Exchange } from './exchange.ts';
import type { GatewayResponse } from './gateway-response.ts';
import type { Upgrades } from './upgrades.ts';

/** Bytes a client may send before the upstream agreed; then it has to wait. */
const EARLY_MAX = 65_536;

/** A client that was answered without an upgrade gets so long to close its connection. Milliseconds. */
const LINGER = 2_000;

/**
 * A request to leave HTTP (RFC 9110 §7.8) and the connection it came on, which no HTTP parser reads any
 * more: it becomes a tunnel or it is closed, and whatever the client sends after a refusal is thrown away.
 */
export class ClientUpgrade {
  /** As the client spelt it. */
  readonly protocol: string;
  readonly #socket: Socket;
  readonly #response: GatewayResponse;
  readonly #upgrades: Upgrades;
  #early: Buffer[];
  #earlyBytes: number;
  #accepted = false;
  /** Gives back the place among the caller's sockets; set where one is held. */
  release: (() => void) | null = null;

  /** @param head what came behind the request */
  constructor(socket: Socket, head: Buffer, protocol: string, response: GatewayResponse, upgrades: Upgrades) {
    this.protocol = protocol;
    this.#socket = socket;
    this.#response = response;
    this.#upgrades = upgrades;
    this.#early = head.length === 0 ? [] : [head];
    this.#earlyBytes = head.length;
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.on('finish', () => this.#onAnswered());
    response.on('close', () => {
      if (!this.#accepted) this.release?.();
    });
    // Read at once, so that a client that goes away is noticed.
    socket.on('data', this.#onEarlyData);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onError);
    socket.on('drain', this.#onDrain);
    socket.resume();
  }

  /** Passes the upstream's 101 on and begins the tunnel. False: it is no answer to what was asked. */
  accept(exchange: Exchange, { headers, raw, socket }: UpgradeAnswer): boolean {
    if (!switchesAsAsked(this.protocol, exchange.request.headers['sec-websocket-key'], raw)) return false;
    const onClose = () => socket.destroy();
    socket.on('error', onClose);
    this.#response.once('close', onClose);
    exchange.hold(101, () => {
      this.#response.off('close', onClose);
      socket.off('error', onClose);
      this.#open(exchange, headers, socket);
    });
    return true;
  }

  #open(exchange: Exchange, headers: readonly string[], upstream: Socket): void {
    this.#accepted = true;
    this.#response.writeHead(101, [...headers, 'Connection', 'Upgrade', 'Upgrade', this.protocol]);
    this.#response.end();
    this.#socket.off('data', this.#onEarlyData);
    this.#socket.off('end', this.#onEnd);
    this.#socket.off('drain', this.#onDrain);
    this.#upgrades.open(exchange, this.protocol, this.#socket, upstream, this.release, this.#early);
  }

  /** The answer is out: the exchange is over, as the HTTP server has it for its own responses. */
  #onAnswered(): void {
    if (this.#response.destroyed) return; // together with its connection
    this.#response.detachSocket(this.#socket);
    this.#response.emit('close');
    if (this.#accepted) return;
    this.#early = [];
    this.#socket.end();
    this.#socket.resume();
    const timer = setTimeout(() => this.#socket.destroy(), LINGER);
    this.#socket.once('close', () => clearTimeout(timer));
  }

  readonly #onEarlyData = (chunk: Buffer) => {
    if (this.#response.writableEnded) return;
    this.#early.push(chunk);
    this.#earlyBytes += chunk.length;
    if (this.#earlyBytes >= EARLY_MAX) this.#socket.pause();
  };

  /** Nobody half-closes before the answer: the client is gone. */
  readonly #onEnd = () => {
    if (!this.#response.writableEnded) this.#socket.destroy();
  };

  /** What the HTTP server does for its own responses. */
  readonly #onDrain = () => {
    this.#response.emit('drain');
  };

  readonly #onError = () => {}; // followed by `close`, which ends the exchange
}
