import { createHistogram } from 'node:perf_hooks';
import { machineBusy } from '../harness/machine-load.ts';
import { usageOf } from '../harness/process-tree.ts';
import type { LoadResult } from './spec.ts';

/**
 * Counts answers between {@link Window.open} and {@link Window.close}, and what server and generator spent on them.
 */
export class Window {
  readonly #watch: number;
  readonly #ours: readonly number[];
  /** Microseconds. */
  readonly #latencies = createHistogram({ lowest: 1, highest: 60_000_000, figures: 3 });
  #isOpen = false;
  #answers = 0;
  #bytes = 0;
  #errors = 0;
  #startedAt = 0;
  #serverCpu = 0;
  #ownCpu = 0;
  #machineBusy = 0;
  #oursCpu = 0;

  /** @param watch root of the server's process tree @param ours the bench's own processes besides */
  constructor(watch: number, ours: readonly number[]) {
    this.#watch = watch;
    this.#ours = ours;
  }

  /** One answer. */
  answered(milliseconds: number, bytes: number): void {
    if (!this.#isOpen) return;
    this.#answers++;
    this.#bytes += bytes;
    this.#latencies.record(Math.max(1, Math.round(milliseconds * 1000)));
  }

  /** One answer that should have been another, or none at all. */
  failed(): void {
    if (this.#isOpen) this.#errors++;
  }

  open(): void {
    this.#isOpen = true;
    this.#serverCpu = usageOf(this.#watch).cpu;
    this.#ownCpu = ownCpu();
    this.#oursCpu = this.#cpuOfOurs();
    this.#machineBusy = machineBusy();
    this.#startedAt = performance.now();
  }

  close(): LoadResult {
    this.#isOpen = false;
    const elapsed = (performance.now() - this.#startedAt) * 1000;
    const busy = machineBusy() - this.#machineBusy;
    const own = ownCpu() - this.#ownCpu;
    const ours = this.#cpuOfOurs() - this.#oursCpu;
    const { cpu, rss } = usageOf(this.#watch);
    const spent = cpu - this.#serverCpu;
    const percentile = (p: number) => this.#latencies.percentile(p) / 1000;
    return {
      rate: (this.#answers * 1e6) / elapsed,
      latency: { p50: percentile(50), p90: percentile(90), p99: percentile(99), p999: percentile(99.9) },
      bytesPerSecond: (this.#bytes * 1e6) / elapsed,
      cpu: this.#answers === 0 ? Number.NaN : spent / this.#answers,
      serverLoad: spent / elapsed,
      generatorLoad: own / elapsed,
      foreignLoad: Math.max(0, busy - spent - own - ours) / elapsed,
      rss,
      errors: this.#errors,
    };
  }

  #cpuOfOurs(): number {
    return this.#ours.reduce((sum, pid) => sum + usageOf(pid).cpu, 0);
  }
}

/** Microseconds. */
function ownCpu(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}
