import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** A slot's folder under the trail's. */
const SLOT = /^worker-\d+$/;

/** So many workers on one folder are a mistake. */
const MAX_SLOTS = 10_000;

/**
 * The right to write a folder of segments, held by one process at a time. It is a lock of SQLite's on a file
 * that stays empty: the operating system takes it back when the process ends, however it ends, and it counts
 * across containers that share the folder, where process ids mean nothing.
 */
export class Slot {
  readonly name: string;
  readonly folder: string;
  readonly #lock: DatabaseSync;

  private constructor(name: string, folder: string, lock: DatabaseSync) {
    this.name = name;
    this.folder = folder;
    this.#lock = lock;
  }

  /** The first slot nobody holds, so that who replaces a dead worker takes its place. */
  static claim(trailFolder: string): Slot {
    for (let number = 1; number <= MAX_SLOTS; number++) {
      const slot = Slot.tryClaim(trailFolder, `worker-${number}`);
      if (slot !== null) return slot;
    }
    throw new Error(`all slots of ${trailFolder} are taken`);
  }

  /** One slot, or null where somebody holds it. Throws where the folder cannot be used. */
  static tryClaim(trailFolder: string, name: string): Slot | null {
    const folder = join(trailFolder, name);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const lock = new DatabaseSync(join(folder, 'lock'), { timeout: 0 });
    try {
      lock.exec('BEGIN EXCLUSIVE');
      return new Slot(name, folder, lock);
    } catch (error) {
      lock.close();
      if (isBusy(error)) return null;
      throw error;
    }
  }

  release(): void {
    this.#lock.close();
  }
}

/** Names of all slots there are. */
export function slotNames(trailFolder: string): string[] {
  return readdirSync(trailFolder).filter((name) => SLOT.test(name));
}

/** What the installation that owns the folder is called in its chains: drawn once, then kept. */
export function instanceName(trailFolder: string): string {
  const path = join(trailFolder, 'instance');
  const drawn = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  mkdirSync(trailFolder, { recursive: true, mode: 0o700 });
  try {
    return readFileSync(path, 'latin1');
  } catch {
    // The first to come draws the name.
  }
  writeFileSync(drawn, randomBytes(4).toString('hex'), { mode: 0o600 });
  try {
    linkSync(drawn, path); // whole or not at all, and only if nobody else was faster
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  } finally {
    rmSync(drawn, { force: true });
  }
  return readFileSync(path, 'latin1');
}

/** `SQLITE_BUSY`: somebody holds the lock. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === 5;
}
