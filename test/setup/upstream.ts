import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A service whose behaviour a test changes as it goes. */
export class Upstream {
  readonly #server = createServer((request, response) => this.handler(request, response));
  handler: RequestListener = (_request, response) => response.end();
  url = '';

  static async start(port = 0, host = '127.0.0.1'): Promise<Upstream> {
    const upstream = new Upstream();
    upstream.#server.listen(port, host);
    await once(upstream.#server, 'listening');
    upstream.url = `http://${host}:${(upstream.#server.address() as AddressInfo).port}`; // listening on TCP
    return upstream;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
