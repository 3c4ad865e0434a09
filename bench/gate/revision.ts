import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

const PROJECT = new URL('../..', import.meta.url).pathname;

/** The commit that is checked out; null outside a repository. */
export function currentRevision(): string | null {
  try {
    return git('rev-parse', 'HEAD').toString().trim();
  } catch {
    return null;
  }
}

/**
 * Puts the gateway as it was at `revision` into `folder`, with the packages of today.
 * @returns path of its program; null where the repository does not hold that revision
 */
export function checkOut(revision: string, folder: string): string | null {
  try {
    const archive = git('archive', '--format=tar', revision, 'src', 'package.json');
    mkdirSync(folder);
    execFileSync('tar', ['-x', '-C', folder], { input: archive });
    symlinkSync(join(PROJECT, 'node_modules'), join(folder, 'node_modules'));
    return join(folder, 'src/start.js');
  } catch {
    return null; // a shallow clone, or none at all
  }
}

function git(...args: string[]): Buffer {
  return execFileSync('git', args, { cwd: PROJECT, stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1 << 28 });
}
