/** What a worker tells the primary about itself, every second and at each change. */
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
  /** How the targets of each service stand: `up`, `probing` or `ejected`, by base URL. */
  readonly upstreams: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** What the primary tells a worker. */
export interface DrainRequest {
  readonly kind: 'drain';
}

/** The primary asks for a worker's metrics. */
export interface MetricsRequest {
  readonly kind: 'metrics';
  readonly id: number;
}

/** The worker's answer: what its registry gives as JSON. */
export interface MetricsReply extends MetricsRequest {
  readonly metrics: object;
}

export function isMetricsRequest(message: unknown): message is MetricsRequest {
  return kindOf(message) === 'metrics';
}

export function isMetricsReply(message: unknown): message is MetricsReply {
  return kindOf(message) === 'metrics';
}

export function isWorkerStatus(message: unknown): message is WorkerStatus {
  return kindOf(message) === 'status';
}

export function isDrainRequest(message: unknown): message is DrainRequest {
  return kindOf(message) === 'drain';
}

function kindOf(message: unknown): unknown {
  return typeof message === 'object' && message !== null && 'kind' in message ? message.kind : undefined;
}
