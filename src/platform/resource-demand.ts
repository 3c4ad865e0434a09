/** What a job asks of the cluster, in the HPC engine's terms (contract §5). */
export interface ResourceDemand {
  readonly cpuHours: number;
  readonly gpuHours: number;
  readonly gpus: number;
  readonly memoryGb: number;
  readonly partition: string;
}

/** A request that demands nothing: every compute request but a submission. */
export const NO_DEMAND: ResourceDemand = { cpuHours: 0, gpuHours: 0, gpus: 0, memoryGb: 0, partition: 'cpu' };

/** A job that names cores or GPUs but no duration is counted with so many hours. */
const ASSUMED_HOURS = 1;

/** Longest name of a partition the engine is asked about. */
const MAX_PARTITION_LENGTH = 64;

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Reads the demand from the body of a submission: the platform's `{tool_id, inputs, resources}` or a GA4GH
 * TES task with `resources: {cpu_cores, ram_gb, backend_parameters}`. Where a quantity is spelled several
 * ways, the largest counts, so that no second spelling hides a demand. Null: the body states something that
 * is no quantity, and must not pass unjudged.
 */
export function readDemand(body: unknown): ResourceDemand | null {
  if (!isFields(body)) return null;
  const { resources } = body;
  if (resources === undefined || resources === null) return NO_DEMAND;
  if (!isFields(resources)) return null;
  const backend = resources.backend_parameters ?? {};
  if (!isFields(backend)) return null;

  const cpus = largest(resources, backend, ['cpu_cores', 'cpus', 'cpu', 'cores']);
  const gpus = largest(resources, backend, ['gpus', 'gpu', 'gpu_count', 'num_gpus']);
  const memory = largest(resources, backend, ['memory_gb', 'ram_gb', 'mem_gb', 'memory', 'ram']);
  const hours = largest(resources, backend, ['hours', 'walltime_hours', 'time_hours', 'duration_hours']);
  const statedCpuHours = largest(resources, backend, ['cpu_hours']);
  const statedGpuHours = largest(resources, backend, ['gpu_hours']);
  const partition = partitionOf(resources, backend, gpus ?? 0);
  if ([cpus, gpus, memory, hours, statedCpuHours, statedGpuHours, partition].includes(null)) return null;

  const duration = hours || ASSUMED_HOURS;
  return {
    cpuHours: Math.max(statedCpuHours ?? 0, (cpus ?? 0) * duration),
    gpuHours: Math.max(statedGpuHours ?? 0, (gpus ?? 0) * duration),
    gpus: Math.ceil(gpus ?? 0),
    memoryGb: Math.ceil(memory ?? 0),
    partition: partition ?? 'cpu',
  };
}

/** The largest of the quantities found under `names`; 0 without any, null where one is no quantity. */
function largest(resources: Fields, backend: Fields, names: readonly string[]): number | null {
  let most = 0;
  for (const name of names) {
    for (const value of [resources[name], backend[name]]) {
      if (value === undefined || value === null) continue;
      const quantity = quantityOf(value);
      if (quantity === null) return null;
      most = Math.max(most, quantity);
    }
  }
  return most;
}

/** A number, or a number as text with an optional unit of gigabytes (`"16"`, `"16GB"`, `"16Gi"`). */
function quantityOf(value: unknown): number | null {
  if (value === true || value === false) return value ? 1 : 0;
  const number =
    typeof value === 'string'
      ? Number(/^\s*(\d+(?:\.\d+)?)\s*(?:g|gb|gi|gib)?\s*$/i.exec(value)?.[1])
      : value;
  return typeof number === 'number' && number >= 0 && number <= 1e9 ? number : null;
}

function partitionOf(resources: Fields, backend: Fields, gpus: number): string | null {
  const named = resources.partition ?? backend.partition ?? resources.queue ?? backend.queue;
  if (named === undefined || named === null) return gpus > 0 ? 'gpu' : 'cpu';
  return typeof named === 'string' && named.length > 0 && named.length <= MAX_PARTITION_LENGTH ? named : null;
}
