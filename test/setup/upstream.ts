import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';

/** A service whose behaviour a test changes as it goes. */
export class Upstream {
  readonly #server = createServer((request, response) => this.handler(request, response));
  readonly #sockets = new WebSocketServer({ noServer: true, perMessageDeflate: true });
  readonly #upgraded = new Set<Duplex>();
  handler: RequestListener = (_request, response) => response.end();
  /** Answers requests for an upgrade; {@link accept} is one way. */
  upgradeHandler: (request: IncomingMessage, socket: Duplex, head: Buffer) => void = (_request, socket) =>
    socket.end('HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n');
  url = '';

  private constructor() {
    this.#server.on('upgrade', (request, socket, head) => {
      this.#upgraded.add(socket);
      socket.on('close', () => this.#upgraded.delete(socket));
      socket.on('error', () => {}); // shows as closed
      this.upgradeHandler(request, socket, head);
    });
  }

  static async start(port = 0, host = '127.0.0.1'): Promise<Upstream> {
    const upstream = new Upstream();
    upstream.#server.listen(port, host);
    await once(upstream.#server, 'listening');
    upstream.url = `http://${host}:${(upstream.#server.address() as AddressInfo).port}`; // listening on TCP
    return upstream;
  }

  /** Accepts WebSockets and hands them over. */
  accept(onSocket: (socket: WebSocket, request: IncomingMessage) => void): void {
    this.upgradeHandler = (request, socket, head) =>
      this.#sockets.handleUpgrade(request, socket, head, onSocket);
  }

  /** Cuts all connections that left HTTP. */
  cutUpgraded(): void {
    for (const socket of this.#upgraded) socket.destroy();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    this.cutUpgraded();
    await once(this.#server, 'close');
  }
}
