import type { Registry } from 'prom-client';
import type { SharedHistogram, Tally } from '../audit/tally.ts';
import { collectable, type Value } from './collectable.ts';

/** What the audit trail counts. */
export interface AuditFigures {
  readonly tally: Tally;
  readonly accepted: number;
  readonly dropped: number;
  readonly waiting: number;
}

/**
 * Registers what became of audit events. The sums add up, for each worker from its start:
 *
 * - accepted + recovered = written + spooled + dropped + backlog in memory
 * - spooled + adopted = replayed + unreadable + backlog on disk
 */
export function registerAuditMeters(registry: Registry, figures: AuditFigures): void {
  const { tally } = figures;
  registry.registerMetric(
    collectable('gateway_audit_events_total', 'Audit events by what became of them', 'counter', () => [
      event('accepted', figures.accepted),
      event('recovered', tally.get('recovered')),
      event('written', tally.get('written')),
      event('spooled', tally.get('spooled')),
      event('adopted', tally.get('adopted')),
      event('replayed', tally.get('replayed')),
      event('resent', tally.get('resent')),
      event('unreadable', tally.get('unreadable')),
      event('dropped', figures.dropped + tally.get('dropped')),
    ]),
  );
  registry.registerMetric(
    collectable('gateway_audit_backlog_events', 'Audit events the stream has not taken yet', 'gauge', () => [
      { labels: { where: 'memory' }, value: figures.waiting + tally.get('memory') },
      { labels: { where: 'disk' }, value: tally.onDisk },
    ]),
  );
  registry.registerMetric(
    collectable(
      'gateway_audit_spool_bytes',
      'Size of the audit spool, kept segments included',
      'gauge',
      () => [{ labels: {}, value: tally.get('spoolBytes') }],
    ),
  );
  registry.registerMetric(
    collectable(
      'gateway_audit_oldest_unsent_seconds',
      'Age of the oldest audit event the stream has not taken yet',
      'gauge',
      () => [{ labels: {}, value: ageOf(tally.get('oldestUnsent')) }],
      'max',
    ),
  );
  registerHistogram(registry, 'gateway_audit_batch_events', 'Events per batch', tally.batchSizes);
  registerHistogram(
    registry,
    'gateway_audit_batch_duration_seconds',
    'Time until the stream has taken a batch',
    tally.batchSeconds,
  );
}

function event(result: string, value: number): Value {
  return { labels: { result }, value };
}

function ageOf(epochMilliseconds: number): number {
  return epochMilliseconds === 0 ? 0 : Math.max(0, Date.now() - epochMilliseconds) / 1000;
}

function registerHistogram(registry: Registry, name: string, help: string, histogram: SharedHistogram): void {
  const values = () => {
    const { cumulative, count, sum } = histogram;
    return [
      ...histogram.bounds.map((le, i): Value => {
        return { labels: { le }, value: cumulative[i] ?? 0, metricName: `${name}_bucket` };
      }),
      { labels: { le: '+Inf' }, value: count, metricName: `${name}_bucket` },
      { labels: {}, value: sum, metricName: `${name}_sum` },
      { labels: {}, value: count, metricName: `${name}_count` },
    ];
  };
  registry.registerMetric(collectable(name, help, 'histogram', values));
}
