import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

/**
 * Statistics of the event loop's lag need a timer that fires a hundred times a second, which wakes a process with nothing
 * to do each time: a hundredth of a core, taken from the worker beside it. The lag at the scrape itself stays.
 */
const LAG_STATISTICS = ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'].map(
  (statistic) => `nodejs_eventloop_lag_${statistic}_seconds`,
);

/** Milliseconds: the longest a timer takes. */
const NEVER = 2 ** 31 - 1;

/** The primary's own metrics: what becomes of the workers. */
export class PrimaryMetrics {
  readonly registry = new Registry();
  readonly #exits = new Counter({
    name: 'gateway_worker_exits_total',
    help: 'Workers that ended, by how',
    labelNames: ['how'],
    registers: [this.registry],
  });
  readonly #reloads = new Counter({
    name: 'gateway_reloads_total',
    help: 'Reloads of the configuration, by how they ended',
    labelNames: ['result'],
    registers: [this.registry],
  });

  /** @param workers gives the number of workers by state */
  constructor(workers: () => Readonly<Record<string, number>>) {
    collectDefaultMetrics({
      register: this.registry,
      labels: { worker: 'primary' },
      eventLoopMonitoringPrecision: NEVER,
    });
    for (const name of LAG_STATISTICS) this.registry.removeSingleMetric(name);
    new Gauge({
      name: 'gateway_workers',
      help: 'Worker processes by state',
      labelNames: ['state'],
      registers: [this.registry],
      collect() {
        for (const [state, count] of Object.entries(workers())) this.set({ state }, count);
      },
    });
  }

  workerEnded(how: string): void {
    this.#exits.inc({ how });
  }

  reloaded(result: string): void {
    this.#reloads.inc({ result });
  }
}
