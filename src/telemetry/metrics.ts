import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { RequestMeters } from './request-meters.ts';

/** Counts kept elsewhere as plain numbers and read when scraped. */
export interface CacheSource {
  readonly name: string;
  readonly counts: Readonly<Record<string, number>>;
}

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
  readonly #auditEvents = this.#counter('gateway_audit_events_total', 'Audit events by what became of them', [
    'result',
  ]);

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

  upstreamFailed(service: string, kind: string): void {
    this.#upstreamErrors.inc({ service, kind });
  }

  auditEvents(result: string, count: number): void {
    this.#auditEvents.inc({ result }, count);
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

  /** Registers the lookups of the caches. */
  caches(sources: readonly CacheSource[]): void {
    new Counter({
      name: 'gateway_cache_lookups_total',
      help: 'Cache lookups by tier (l1: this process, l2: Redis) and result',
      labelNames: ['cache', 'tier', 'result'],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const { name, counts } of sources) {
          for (const [key, value] of Object.entries(counts)) {
            this.inc({ cache: name, tier: key.slice(0, 2), result: key.slice(2).toLowerCase() }, value);
          }
        }
      },
    });
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }
}
