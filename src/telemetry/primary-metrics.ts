import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

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
    collectDefaultMetrics({ register: this.registry, labels: { worker: 'primary' } });
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
