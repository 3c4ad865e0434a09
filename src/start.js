import { mkdirSync, statSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { join, resolve } from 'node:path';

// The program, and the one file that is no TypeScript: to read that takes Node a tenth of a second, unless it has been
// compiled before. Whoever names the folder in ENV_FILE does without.
const { STATE_DIR, ENV_FILE } = process.env;
if (STATE_DIR || !ENV_FILE) keepCompiled(resolve(STATE_DIR || 'state'));

await import('./main.ts');

/**
 * Keeps what V8 and the type stripper make of the sources for the next start, which then takes half as long. Whoever
 * can write there decides what runs here: where the folders are not this user's alone, the gateway does without.
 * Processes and threads that are started from now on inherit it. `NODE_COMPILE_CACHE` names another folder.
 * @param {string} stateDir
 */
function keepCompiled(stateDir) {
  if (process.env.NODE_COMPILE_CACHE) return; // in use already
  const folder = join(stateDir, 'compile-cache');
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (!isPrivate(stateDir) || !isPrivate(folder)) return;
    enableCompileCache(folder);
    process.env.NODE_COMPILE_CACHE = folder;
  } catch {
    // A folder that cannot be used is reported where the audit trail needs it.
  }
}

/** @param {string} folder */
function isPrivate(folder) {
  const { uid, mode } = statSync(folder);
  return uid === process.getuid?.() && (mode & 0o022) === 0;
}
