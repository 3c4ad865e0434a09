import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { AggregatorRegistry, collectDefaultMetrics, Registry } from 'prom-client';
import type { WorkerStatus } from '../cluster/messages.ts';

/** What the primary knows about its workers. */
export interface ClusterState {
  readonly draining: boolean;
  readonly workers: readonly WorkerStatus[];
  readonly wanted: number;
}

/** Gives the metrics of all workers that answer, each as its registry's JSON. */
export type MetricsCollector = () => Promise<object[]>;

/**
 * The admin port: `GET /metrics`, summed over the workers, `GET /ready` (whether clients are served), and
 * `GET /health` (whether the primary lives). Not for clients.
 */
export class AdminServer {
  readonly #server: Server;
  readonly #own = new Registry();
  readonly #state: () => ClusterState;
  readonly #collect: MetricsCollector;

  constructor(state: () => ClusterState, collect: MetricsCollector) {
    this.#state = state;
    this.#collect = collect;
    collectDefaultMetrics({ register: this.#own, labels: { worker: 'primary' } });
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
    if (path === '/ready') {
      const readiness = readinessOf(this.#state());
      return reply(response, readiness.ready ? 200 : 503, readiness);
    }
    if (path === '/health') return reply(response, 200, { status: 'ok' });
    if (path !== '/metrics') return reply(response, 404, { error: 'not found' });
    response.writeHead(200, { 'content-type': this.#own.contentType }).end(await this.#metrics());
  }

  async #metrics(): Promise<string> {
    const all = [await this.#own.getMetricsAsJSON(), ...(await this.#collect())];
    return AggregatorRegistry.aggregate(all).metrics();
  }
}

/** Ready: at least one worker takes connections, and nobody asked the gateway to stop. */
function readinessOf({ draining, workers, wanted }: ClusterState) {
  const accepting = workers.filter((worker) => worker.accepting);
  return {
    ready: !draining && accepting.length > 0,
    draining,
    workers: { wanted, accepting: accepting.length },
    redis: worst(workers.map((worker) => worker.redis)),
    revocations: worst(workers.map((worker) => worker.revocations)),
    engines: Object.fromEntries(
      Object.keys(workers[0]?.engines ?? {}).map((engine) => [
        engine,
        worst(workers.map((worker) => worker.engines[engine] ?? 'unknown')),
      ]),
    ),
    upstreams: upstreamsOf(workers),
  };
}

/** How each target of each service stands in the worker that thinks worst of it. Reported, not decisive. */
function upstreamsOf(workers: readonly WorkerStatus[]) {
  const services = Object.entries(workers[0]?.upstreams ?? {});
  return Object.fromEntries(
    services.map(([service, targets]) => [
      service,
      Object.fromEntries(
        Object.keys(targets).map((url) => [
          url,
          worst(workers.map((worker) => worker.upstreams[service]?.[url] ?? 'unknown')),
        ]),
      ),
    ]),
  );
}

/** One word for all workers: the first that is neither well nor unknown, else the best known. */
function worst(states: readonly string[]): string {
  const well = ['ready', 'ok', 'live', 'embedded', 'up'];
  return (
    states.find((state) => !well.includes(state) && state !== 'unknown') ??
    states.find((state) => well.includes(state)) ??
    'unknown'
  );
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
