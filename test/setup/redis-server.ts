import { execFileSync } from 'node:child_process';

/** Makes sure that `redis-server` is there before any test runs: installs it if it may, else says what to do. */
export default function ensureRedisServer(): void {
  if (has('redis-server')) return;
  if (has('apt-get') && process.getuid?.() === 0) {
    const quiet = { stdio: ['ignore', 'ignore', 'inherit'] as ['ignore', 'ignore', 'inherit'] };
    execFileSync('apt-get', ['update', '-qq'], quiet);
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'redis-server'], {
      ...quiet,
      // Tests start servers of their own; the system's service need not run.
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
    });
    if (has('redis-server')) return;
  }
  throw new Error(
    'redis-server is missing: install the package redis-server (Debian, Ubuntu) or redis and try again',
  );
}

function has(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
