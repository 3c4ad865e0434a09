import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { treeOf, usageOf } from '../../../bench/harness/process-tree.ts';

/** Burns as much CPU time as told in a child of its own and one in its child. */
const BURN = `
  const { spawn } = require('node:child_process');
  if (process.argv[1] !== 'child') spawn(process.execPath, ['-e', process.env.SOURCE, 'child'], { stdio: 'ignore' });
  const burnt = () => { const { user, system } = process.cpuUsage(); return user + system; };
  while (burnt() < 400_000);
  process.stdout.write('done');
  process.stdin.resume();
`;

describe('the usage of a process tree', () => {
  it('counts the CPU time of children too', async () => {
    const parent = spawn(process.execPath, ['-e', BURN], {
      env: {
        ...process.env,
        SOURCE: BURN.replace('process.stdin.resume();', 'setInterval(() => {}, 1000);'),
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    try {
      await once(parent.stdout, 'data');
      const tree = treeOf(parent.pid ?? 0);
      expect(tree).toHaveLength(2);
      await expect.poll(() => usageOf(parent.pid ?? 0).cpu, { timeout: 20_000 }).toBeGreaterThan(750_000);
      expect(usageOf(parent.pid ?? 0).rss).toBeGreaterThan(20_000_000);
    } finally {
      for (const pid of treeOf(parent.pid ?? 0).toReversed()) process.kill(pid, 'SIGKILL');
    }
  });
});
