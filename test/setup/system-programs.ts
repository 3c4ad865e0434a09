import { execFileSync } from 'node:child_process';

/** Programs that tests run; each is named like its package, and tells its version when asked so. */
const PROGRAMS = {
  'redis-server': '--version',
  nginx: '-v',
  openssl: 'version',
  chromium: '--version',
};

/** Makes sure that they are there before any test runs: installs them if it may, else says what to do. */
export default function ensureSystemPrograms(): void {
  if (missing().length === 0) return;
  if (runs('apt-get', '--version') && process.getuid?.() === 0) {
    const quiet = { stdio: ['ignore', 'ignore', 'inherit'] as ['ignore', 'ignore', 'inherit'] };
    execFileSync('apt-get', ['update', '-qq'], quiet);
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing()], {
      ...quiet,
      // Tests start servers of their own; the system's service need not run.
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
    });
    if (missing().length === 0) return;
  }
  throw new Error(`install ${missing().join(' and ')} (so named in Debian and Ubuntu) and try again`);
}

function missing(): string[] {
  return Object.entries(PROGRAMS)
    .filter(([program, question]) => !runs(program, question))
    .map(([program]) => program);
}

function runs(program: string, question: string): boolean {
  try {
    execFileSync(program, [question], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
