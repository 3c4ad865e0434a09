import { describe, expect, test } from 'vitest';
import { NO_DEMAND, readDemand } from '../../../src/platform/resource-demand.ts';

describe('a demand comes from the body of the submission', () => {
  test.each([
    ['nothing demanded', { tool_id: 'blast' }, NO_DEMAND],
    [
      'GA4GH',
      { resources: { cpu_cores: 4, ram_gb: 15.5, disk_gb: 1 } },
      { cpuHours: 4, gpuHours: 0, gpus: 0, memoryGb: 16, partition: 'cpu' },
    ],
    [
      'GA4GH with GPUs in the backend’s parameters',
      { resources: { backend_parameters: { gpus: '2', partition: 'dgx-a100' } } },
      { cpuHours: 0, gpuHours: 2, gpus: 2, memoryGb: 0, partition: 'dgx-a100' },
    ],
    [
      'the platform’s own form with hours',
      { tool_id: 'x', resources: { cpus: 8, gpus: 1, memory_gb: '32GB', hours: 3 } },
      { cpuHours: 24, gpuHours: 3, gpus: 1, memoryGb: 32, partition: 'gpu' },
    ],
    [
      'the larger of two spellings',
      { resources: { gpus: 0, gpu_count: 4 } },
      { cpuHours: 0, gpuHours: 4, gpus: 4, memoryGb: 0, partition: 'gpu' },
    ],
  ])('%s', (_name, body, demand) => {
    expect(readDemand(body)).toEqual(demand);
  });
});

describe('what states no readable demand is not judged as none', () => {
  test.each([
    [null],
    [[]],
    ['text'],
    [{ resources: [] }],
    [{ resources: { gpus: -1 } }],
    [{ resources: { gpus: 'many' } }],
    [{ resources: { gpus: { count: 8 } } }],
    [{ resources: { partition: 7 } }],
    [{ resources: { backend_parameters: 'gpu' } }],
  ])('%j', (body) => {
    expect(readDemand(body)).toBeNull();
  });
});
