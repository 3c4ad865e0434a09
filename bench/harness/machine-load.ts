import { readFileSync } from 'node:fs';

/** Clock ticks of `/proc/stat` per second, as microseconds each. */
const TICK = 10_000;

/** CPU time the whole machine has spent on anything, in microseconds; NaN where there is no `/proc`. */
export function machineBusy(): number {
  try {
    const [line = ''] = readFileSync('/proc/stat', 'latin1').split('\n', 1);
    const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line
      .trim()
      .split(/\s+/)
      .slice(1)
      .map(Number);
    return (user + nice + system + irq + softirq) * TICK;
  } catch {
    return Number.NaN;
  }
}

/** A machine on which others take more than so many cores is not quiet. */
const QUIET = 0.15;
const LOOK = 150;

/** Waits until the machine does nothing for a moment, at most `patience` milliseconds. Tells whether it came to that. */
export async function quietMoment(patience: number): Promise<boolean> {
  const deadline = performance.now() + patience;
  for (;;) {
    const busy = machineBusy();
    const startedAt = performance.now();
    await new Promise((resolve) => setTimeout(resolve, LOOK));
    const cores = (machineBusy() - busy) / ((performance.now() - startedAt) * 1000);
    if (!(cores > QUIET)) return true; // NaN, too: there is no telling
    if (performance.now() >= deadline) return false;
  }
}
