import type { Registry } from 'prom-client';
import { collectable, type Value } from './collectable.ts';

/** Upper bounds in seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'];

/** What was counted for one combination of labels. */
interface Meter {
  readonly labels: { readonly service: string; readonly method: string; readonly status: string };
  count: number;
  sum: number;
  readonly buckets: Float64Array;
}

/**
 * Requests and their durations by service, method and status. Counted in plain numbers, because the library's
 * histogram costs more than a microsecond for each observation; handed to its registry when it is scraped.
 */
export class RequestMeters {
  readonly #byService = new Map<string, Map<number, Meter>>();

  constructor(registry: Registry) {
    registry.registerMetric(
      collectable('gateway_requests_total', 'Requests answered', 'counter', () =>
        this.#meters().map(({ labels, count }) => ({ labels, value: count })),
      ),
    );
    const name = 'http_request_duration_seconds';
    registry.registerMetric(
      collectable(name, 'Time from a request’s head to the end of its answer', 'histogram', () =>
        this.#meters().flatMap((meter) => histogramValues(name, meter)),
      ),
    );
  }

  /** Counts one request. Costs two Map hits and a search among the buckets. */
  observe(service: string, method: string, status: number, seconds: number): void {
    let meters = this.#byService.get(service);
    if (meters === undefined) {
      meters = new Map();
      this.#byService.set(service, meters);
    }
    const key = METHODS.indexOf(method) * 1000 + status;
    let meter = meters.get(key);
    if (meter === undefined) {
      meter = {
        labels: {
          service,
          method: METHODS.includes(method) ? method : 'OTHER',
          status: status >= 100 && status < 600 ? String(status) : 'other',
        },
        count: 0,
        sum: 0,
        buckets: new Float64Array(BUCKETS.length),
      };
      meters.set(key, meter);
    }
    meter.count++;
    meter.sum += seconds;
    for (let i = 0; i < BUCKETS.length; i++) {
      if (seconds <= (BUCKETS[i] as number)) {
        meter.buckets[i] = (meter.buckets[i] as number) + 1; // i is within both
        break;
      }
    }
  }

  #meters(): Meter[] {
    return [...this.#byService.values()].flatMap((meters) => [...meters.values()]);
  }
}

function histogramValues(name: string, { labels, count, sum, buckets }: Meter): Value[] {
  let cumulative = 0;
  const values = BUCKETS.map((le, i): Value => {
    cumulative += buckets[i] ?? 0;
    return { labels: { ...labels, le }, value: cumulative, metricName: `${name}_bucket` };
  });
  return [
    ...values,
    { labels: { ...labels, le: '+Inf' }, value: count, metricName: `${name}_bucket` },
    { labels, value: sum, metricName: `${name}_sum` },
    { labels, value: count, metricName: `${name}_count` },
  ];
}
