import { type StatsListener, unwatchFile, watchFile } from 'node:fs';

/**
 * Often enough for a person who saves a file, and one `stat` each time. Looking at the path rather than asking
 * the kernel for events follows files that editors replace, links that Kubernetes turns, folders that come and
 * go, and network drives. Milliseconds.
 */
const LOOK_INTERVAL = 500;

/** A file that changed is left alone for so long, so that it is not read half written. Milliseconds. */
const SETTLE = 200;

/** Tells of changes to one file. */
export class FileWatch {
  readonly #onChange: () => void;
  #path: string | null = null;
  #settling: NodeJS.Timeout | undefined;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** Watches this file from now on; null: none. */
  set path(path: string | null) {
    if (path === this.#path) return;
    this.close();
    this.#path = path;
    if (path !== null) watchFile(path, { interval: LOOK_INTERVAL }, this.#onStat);
  }

  close(): void {
    clearTimeout(this.#settling);
    if (this.#path !== null) unwatchFile(this.#path, this.#onStat);
    this.#path = null;
  }

  readonly #onStat: StatsListener = (now, before) => {
    // Reading a file changes its stat too.
    if (now.mtimeMs === before.mtimeMs && now.ino === before.ino && now.size === before.size) return;
    clearTimeout(this.#settling);
    this.#settling = setTimeout(this.#onChange, SETTLE);
  };
}
