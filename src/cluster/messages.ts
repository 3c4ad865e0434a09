import type { Snapshot } from '../config/config-source.ts';

/** A new worker asks for the configuration it is to run with. */
export interface SnapshotRequest {
  readonly kind: 'snapshot-request';
}

/** The primary's answer. */
interface SnapshotReply {
  readonly kind: 'snapshot';
  readonly snapshot: Snapshot;
}

/** What a worker tells the primary about itself, every second and at each change: also its heartbeat. */
export interface WorkerStatus {
  readonly kind: 'status';
  /** Whether the worker takes new connections. */
  readonly accepting: boolean;
  /** State of the shared cache's connection; `embedded` without Redis. */
  readonly redis: string;
  /** Whether revocations arrive: `live`, `degraded` (no pushes), `down` or `embedded`. */
  readonly revocations: string;
  /** How the last question to each decision service ended; `unknown` before the first. */
  readonly engines: Readonly<Record<string, string>>;
  /** Targets that are not up, by service and base URL: `probing` or `ejected`. All others are. */
  readonly upstreams: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** The primary tells a worker to finish what it has and to end. */
interface DrainRequest {
  readonly kind: 'drain';
  /** Milliseconds after which an idle connection is taken to have no request on its way. */
  readonly idle: number;
  /** Whether the gateway stops: nobody goes on accepting from the socket they share. */
  readonly stopping: boolean;
}

/** The primary asks for a worker's metrics. */
interface MetricsRequest {
  readonly kind: 'metrics-request';
  readonly id: number;
}

/** What the worker's registry gives as JSON. */
export interface MetricsReply {
  readonly kind: 'metrics';
  /** That of the request; null for the last ones of a worker that ends. */
  readonly id: number | null;
  readonly metrics: object[];
}

export type ToWorker = SnapshotReply | DrainRequest | MetricsRequest;
export type ToPrimary = SnapshotRequest | WorkerStatus | MetricsReply;

/** Messages of the two programs' own making come over a channel that nobody else can write to. */
function isOneOf<Message extends { readonly kind: string }>(
  kinds: readonly Message['kind'][],
): (message: unknown) => message is Message {
  return (message): message is Message =>
    typeof message === 'object' &&
    message !== null &&
    'kind' in message &&
    kinds.some((kind) => kind === message.kind);
}

export const isToWorker = isOneOf<ToWorker>(['snapshot', 'drain', 'metrics-request']);
export const isToPrimary = isOneOf<ToPrimary>(['snapshot-request', 'status', 'metrics']);
