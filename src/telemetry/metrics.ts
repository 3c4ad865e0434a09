import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { RequestMeters } from './request-meters.ts';

/** Counts kept elsewhere as plain numbers and read when scraped. */
export interface CacheSource {
  readonly name: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly rechecks: Readonly<Record<string, number>>;
}

/** A service as its gauges read it. */
interface UpstreamGauges {
  readonly name: string;
  readonly targets: readonly { readonly url: string; readonly standing: keyof typeof STATE_VALUES }[];
  readonly admission: { readonly taken: number; readonly queued: number };
}

const STATE_VALUES = { up: 1, probing: 0.5, ejected: 0 };

/** All metrics of a worker. Every label value comes from a fixed set or from the configuration. */
export class Metrics {
  readonly registry = new Registry();
  readonly requests = new RequestMeters(this.registry);
  readonly #refusals = this.#counter('gateway_refusals_total', 'Requests refused', ['stage', 'reason']);
  readonly #engines = new Histogram({
    name: 'gateway_platform_request_duration_seconds',
    help: 'Time the decision services took, by how it ended',
    labelNames: ['engine', 'result'],
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3, 5],
    registers: [this.registry],
  });
  readonly #upstreamErrors = this.#counter('gateway_upstream_errors_total', 'Calls to services that failed', [
    'service',
    'kind',
  ]);
  readonly #upstreamRetries = this.#counter(
    'gateway_upstream_retries_total',
    'Requests tried again, by how that ended',
    ['service', 'result'],
  );
  readonly #upstreamMoves = this.#counter(
    'gateway_upstream_target_transitions_total',
    'Targets that left the rotation (ejected) or came back (up)',
    ['service', 'target', 'state'],
  );
  readonly #limited = this.#counter(
    'gateway_rate_limit_requests_total',
    'Requests counted for the limit on what guards credentials, by where they were counted',
    ['store', 'result'],
  );
  readonly #cuts = this.#counter(
    'gateway_client_connections_cut_total',
    'Client connections ended by the gateway before their time, by reason',
    ['reason'],
  );
  readonly #upgradesClosed = this.#counter(
    'gateway_upgrades_closed_total',
    'WebSockets and other upgraded connections that are over, by what ended them',
    ['service', 'end'],
  );

  readonly #revocations = this.#counter(
    'gateway_revocation_messages_total',
    'Revocations heard of, by kind',
    ['kind'],
  );
  readonly #revocationLatency = new Histogram({
    name: 'gateway_revocation_latency_seconds',
    help: 'From the arrival of a revocation to its being in force in this process',
    buckets: [0.0001, 0.001, 0.01, 0.1, 1],
    registers: [this.registry],
  });

  /** @param worker value of the label that tells the workers' process metrics apart */
  constructor(worker: string) {
    collectDefaultMetrics({ register: this.registry, labels: { worker } });
  }

  refused(stage: string, reason: string): void {
    this.#refusals.inc({ stage, reason });
  }

  engineAsked(engine: string, result: string, seconds: number): void {
    this.#engines.observe({ engine, result }, seconds);
  }

  revoked(kind: string, seconds: number): void {
    this.#revocations.inc({ kind });
    this.#revocationLatency.observe(seconds);
  }

  upstreamFailed(service: string, kind: string): void {
    this.#upstreamErrors.inc({ service, kind });
  }

  upstreamRetried(service: string, result: string): void {
    this.#upstreamRetries.inc({ service, result });
  }

  upstreamMoved(service: string, target: string, state: string): void {
    this.#upstreamMoves.inc({ service, target, state });
  }

  connectionCut(reason: string): void {
    this.#cuts.inc({ reason });
  }

  upgradeClosed(service: string, end: string): void {
    this.#upgradesClosed.inc({ service, end });
  }

  /** A request was counted for the limit on what guards credentials, in Redis or in this process. */
  limited(store: 'redis' | 'process', result: 'admitted' | 'refused'): void {
    this.#limited.inc({ store, result });
  }

  /** Registers a gauge whose value is read when scraped. */
  gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }

  /** Registers how the services and their targets are. */
  upstreams(services: readonly UpstreamGauges[]): void {
    new Gauge({
      name: 'gateway_upstream_target_state',
      help: 'Whether a target is in rotation (1), being tried (0.5) or out (0); the mean of the workers',
      labelNames: ['service', 'target'],
      aggregator: 'average',
      registers: [this.registry],
      collect() {
        for (const { name, targets } of services) {
          for (const { url, standing } of targets)
            this.set({ service: name, target: url }, STATE_VALUES[standing]);
        }
      },
    });
    this.#perService('gateway_upstream_requests_in_flight', 'Requests that hold a place at a service', () =>
      services.map(({ name, admission }) => [name, admission.taken]),
    );
    this.#perService('gateway_upstream_queue', 'Requests that wait for a place at a service', () =>
      services.map(({ name, admission }) => [name, admission.queued]),
    );
  }

  #perService(name: string, help: string, read: () => (readonly [string, number])[]): void {
    new Gauge({
      name,
      help,
      labelNames: ['service'],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [service, value] of read()) this.inc({ service }, value);
      },
    });
  }

  /** Registers which decision services are given up for the moment. */
  engineBreakers(engines: ReadonlyMap<string, { readonly isDead: boolean }>): void {
    new Gauge({
      name: 'gateway_platform_breaker_open',
      help: 'Whether a decision service is given up for the moment (1) or not (0)',
      labelNames: ['engine'],
      registers: [this.registry],
      collect() {
        for (const [engine, { isDead }] of engines) this.set({ engine }, isDead ? 1 : 0);
      },
    });
  }

  /** Registers what the caches count: lookups, and questions asked again in the background. */
  caches(sources: readonly CacheSource[]): void {
    this.#counted('gateway_cache_lookups_total', 'Cache lookups by tier (l1: this process, l2: Redis)', () =>
      sources.flatMap(({ name, counts }) =>
        Object.entries(counts).map(([key, value]) => ({
          labels: { cache: name, tier: key.slice(0, 2), result: key.slice(2).toLowerCase() },
          value,
        })),
      ),
    );
    this.#counted('gateway_cache_rechecks_total', 'Entries in use asked about again in the background', () =>
      sources.flatMap(({ name, rechecks }) =>
        Object.entries(rechecks).map(([result, value]) => ({ labels: { cache: name, result }, value })),
      ),
    );
  }

  /** Registers a counter whose values are kept elsewhere. */
  #counted(
    name: string,
    help: string,
    read: () => { labels: Record<string, string>; value: number }[],
  ): void {
    new Counter({
      name,
      help,
      labelNames: ['cache', 'tier', 'result'],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const { labels, value } of read()) this.inc(labels, value);
      },
    });
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }
}
