import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { AggregatorRegistry, Registry } from 'prom-client';
import { createServer } from '../node-http.ts';
import type { Logger } from '../telemetry/log.ts';
import { type GatewayState, readinessOf } from './readiness.ts';
import { statusOf } from './status.ts';
import { STATUS_PAGE } from './status-page.ts';

/** Gives the registries of the primary and of all workers as JSON. */
type MetricsCollector = () => Promise<object[][]>;

/**
 * The admin port, not for clients: `GET /metrics`, summed over the workers, `GET /ready` (whether clients are
 * served), `GET /health` (whether the primary lives), and `GET /`, the status page with its data in `/status`.
 */
export class AdminServer {
  readonly #server: Server;
  readonly #state: () => GatewayState;
  readonly #collect: MetricsCollector;

  constructor(state: () => GatewayState, collect: MetricsCollector, log: Logger) {
    this.#state = state;
    this.#collect = collect;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        log.error({ err: error, path: request.url }, 'admin port cannot answer');
        if (response.headersSent) response.destroy();
        else json(response, 500, { error: 'internal error' });
      });
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
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return json(response, 405, { error: 'method not allowed' });
    }
    switch ((request.url ?? '').split('?', 1)[0]) {
      case '/':
        return send(response, 200, STATUS_PAGE.headers, STATUS_PAGE.body);
      case '/status':
        return json(
          response,
          200,
          statusOf(this.#state(), await (await this.#registry()).getMetricsAsJSON()),
        );
      case '/metrics': {
        const text = await (await this.#registry()).metrics();
        return send(response, 200, { 'content-type': Registry.PROMETHEUS_CONTENT_TYPE }, text);
      }
      case '/ready': {
        const readiness = readinessOf(this.#state());
        return json(response, readiness.ready ? 200 : 503, readiness);
      }
      case '/health':
        return json(response, 200, { status: 'ok' });
      default:
        return json(response, 404, { error: 'not found' });
    }
  }

  async #registry(): Promise<Registry> {
    return AggregatorRegistry.aggregate(await this.#collect());
  }
}

function json(response: ServerResponse, status: number, body: object): void {
  send(response, status, { 'content-type': 'application/json' }, JSON.stringify(body));
}

/** Answers with a length, so that `HEAD` tells it too. */
function send(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | Buffer,
): void {
  const length = { 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store' };
  response.writeHead(status, { ...headers, ...length }).end(body);
}
