import type { Registry } from 'prom-client';
import packageJson from '../../package.json' with { type: 'json' };
import { type GatewayState, readinessOf } from './readiness.ts';

/** Metric families in JSON, already summed over the workers. */
type Families = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

interface Histogram {
  /** Cumulative counts, one for each bound and one beyond the last. */
  readonly buckets: number[];
  count: number;
}

type Labels = Readonly<Record<string, string | number | undefined>>;

/**
 * What the status page shows. Counts are totals since the start, from which the page makes rates; so any number
 * of pages may look without one disturbing another.
 */
export function statusOf(state: GatewayState, families: Families) {
  const { config } = state;
  const values = (name: string) => families.find((family) => family.name === name)?.values ?? [];
  const counts = (name: string) => values(name).map(({ labels, value }) => ({ ...labels, count: value }));
  const sum = (name: string) => values(name).reduce((total, { value }) => total + value, 0);
  const ofWorker = (name: string, id: number) =>
    values(name).find(({ labels }) => labels.worker === String(id))?.value ?? null;
  return {
    version: packageJson.version,
    now: Date.now(),
    startedAt: state.startedAt,
    ...readinessOf(state),
    wanted: config.workers,
    workers: state.workers.map(({ id, pid, startedAt, retiring, status }) => ({
      id,
      pid,
      startedAt,
      state: retiring ? 'draining' : status === null ? 'starting' : 'serving',
      redis: status?.redis ?? 'unknown',
      revocations: status?.revocations ?? 'unknown',
      memory: ofWorker('process_resident_memory_bytes', id),
      cpuSeconds: ofWorker('process_cpu_seconds_total', id),
      lag: ofWorker('nodejs_eventloop_lag_p99_seconds', id),
    })),
    routes: config.routes.map(({ prefix, service, targets, permission, compute, timeout }) => ({
      prefix: `${prefix}/`,
      service,
      targets,
      permission,
      compute,
      timeout: timeout / 1000,
    })),
    connections: sum('gateway_open_connections'),
    audit: {
      to: config.auditMode === 'off' ? 'off' : config.auditRedisUrl === null ? 'spool' : 'stream',
      backlog: sum('gateway_audit_backlog'),
      events: counts('gateway_audit_events_total'),
    },
    requests: counts('gateway_requests_total'),
    refusals: counts('gateway_refusals_total'),
    upstreamErrors: counts('gateway_upstream_errors_total'),
    cacheLookups: counts('gateway_cache_lookups_total'),
    latency: histograms(values('http_request_duration_seconds'), 'service'),
    engineLatency: histograms(values('gateway_platform_request_duration_seconds'), 'engine'),
  };
}

/** Adds up a histogram's series by one label. */
function histograms(values: Families[number]['values'], label: string) {
  const of = (labels: Labels) => ({ key: String(labels[label]), bound: Number(labels.le) });
  // The bound beyond all others is written +Inf, which is no number to JSON.
  const bounds = [...new Set(values.map(({ labels }) => of(labels).bound).filter(Number.isFinite))].sort(
    (a, b) => a - b,
  );
  const series: Record<string, Histogram> = {};
  for (const { labels, value } of values) {
    if (labels.le === undefined) continue;
    const { key, bound } = of(labels);
    series[key] ??= { buckets: bounds.map(() => 0), count: 0 };
    const index = bounds.indexOf(bound);
    if (index === -1) series[key].count += value;
    else series[key].buckets[index] = (series[key].buckets[index] ?? 0) + value;
  }
  return { bounds, series };
}
