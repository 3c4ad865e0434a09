import type { Registry } from 'prom-client';

/** One sample of a metric. */
export interface Value {
  labels: Record<string, string | number>;
  value: number;
  metricName?: string;
}

/** What a registry needs of a metric; its type asks for the library's own classes. */
export function collectable(
  name: string,
  help: string,
  type: 'counter' | 'gauge' | 'histogram',
  values: () => Value[],
  aggregator: 'sum' | 'max' = 'sum',
): Parameters<Registry['registerMetric']>[0] {
  const metric = {
    name,
    help,
    type,
    aggregator,
    get: async () => ({ name, help, type, aggregator, values: values() }),
  };
  // The registry calls nothing but name and get().
  return metric as unknown as Parameters<Registry['registerMetric']>[0];
}
