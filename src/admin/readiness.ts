import type { WorkerStatus } from '../cluster/messages.ts';
import type { Config } from '../config/config.ts';

/** A worker as the admin port shows it. */
interface WorkerView {
  readonly id: number;
  readonly pid: number | undefined;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  readonly retiring: boolean;
  /** Null until it serves. */
  readonly status: WorkerStatus | null;
}

/** How the last reload of the configuration ended. */
export interface ReloadReport {
  /** ISO 8601. */
  readonly at: string;
  readonly cause: string;
  readonly result: 'done' | 'refused' | 'incomplete';
  readonly faults: readonly string[];
}

/** What the primary knows. */
export interface GatewayState {
  /** Epoch milliseconds. */
  readonly startedAt: number;
  readonly draining: boolean;
  readonly reloading: boolean;
  readonly lastReload: ReloadReport | null;
  readonly config: Config;
  readonly workers: readonly WorkerView[];
}

/** Ready: at least one worker takes connections, and nobody asked the gateway to stop. */
export function readinessOf({ draining, reloading, lastReload, config, workers }: GatewayState) {
  const accepting = workers.flatMap(({ status, retiring }) =>
    status?.accepting && !retiring ? [status] : [],
  );
  return {
    ready: !draining && accepting.length > 0,
    draining,
    workers: { wanted: config.workers, accepting: accepting.length },
    reload: { running: reloading, last: lastReload },
    redis: worst(accepting.map(({ redis }) => redis)),
    revocations: worst(accepting.map(({ revocations }) => revocations)),
    engines: Object.fromEntries(
      Object.keys(accepting[0]?.engines ?? {}).map((engine) => [
        engine,
        worst(accepting.map(({ engines }) => engines[engine] ?? 'unknown')),
      ]),
    ),
    upstreams: upstreamsOf(config, accepting),
  };
}

/** How each target of each service stands in the worker that thinks worst of it. Reported, not decisive. */
function upstreamsOf({ routes, accountRoutes }: Config, workers: readonly WorkerStatus[]) {
  if (workers.length === 0) return {};
  const upstreams: Record<string, Record<string, string>> = {};
  for (const { service, targets } of [...routes, ...accountRoutes]) {
    upstreams[service] ??= {};
    const standings = upstreams[service];
    for (const url of targets) {
      standings[url] = worst(workers.map((worker) => worker.upstreams[service]?.[url] ?? 'up'));
    }
  }
  return upstreams;
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
