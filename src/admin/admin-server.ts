import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { AggregatorRegistry, Registry } from 'prom-client';
import { type GatewayState, readinessOf } from './readiness.ts';

/** Gives the registries of the primary and of all workers as JSON. */
type MetricsCollector = () => Promise<object[][]>;

/**
 * The admin port: `GET /metrics`, summed over the workers, `GET /ready` (whether clients are served), and
 * `GET /health` (whether the primary lives). Not for clients.
 */
export class AdminServer {
  readonly #server: Server;
  readonly #state: () => GatewayState;
  readonly #collect: MetricsCollector;

  constructor(state: () => GatewayState, collect: MetricsCollector) {
    this.#state = state;
    this.#collect = collect;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: Error) => response.destroy(error));
    });
  }

  listen(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, resolve);
    });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').split('?', 1)[0];
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return reply(response, 405, { error: 'method not allowed' });
    switch (path) {
      case '/ready': {
        const readiness = readinessOf(this.#state());
        return reply(response, readiness.ready ? 200 : 503, readiness);
      }
      case '/health':
        return reply(response, 200, { status: 'ok' });
      case '/metrics': {
        const metrics = await AggregatorRegistry.aggregate(await this.#collect()).metrics();
        response.writeHead(200, { 'content-type': Registry.PROMETHEUS_CONTENT_TYPE }).end(metrics);
        return;
      }
      default:
        return reply(response, 404, { error: 'not found' });
    }
  }
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
