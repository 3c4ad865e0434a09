import { availableParallelism, cpus, totalmem } from 'node:os';
import { findPinning } from './pinning.ts';
import type { Machine } from './results.ts';

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    pinned: findPinning() !== null,
  };
}
