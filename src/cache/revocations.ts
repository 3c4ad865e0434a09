import { HolderKeys } from './keys.ts';
import type { Revocation, RevocationKind } from './revocation-message.ts';
import type { SharedStore } from './shared-store.ts';
import type { Watermarks } from './watermarks.ts';

/** Told of each revocation once it is carried out, with the seconds it took from its arrival. */
export type RevocationObserver = (kind: RevocationKind, seconds: number) => void;

/** Carries revocations out: in this process, in Redis, and on what is open for the caller at the moment. */
export class Revocations {
  /** Told that something was outdated; called after it was. */
  onOutdated: () => void = () => {};
  readonly #marks: Watermarks;
  readonly #shared: SharedStore | null;
  readonly #observe: RevocationObserver;

  constructor(marks: Watermarks, shared: SharedStore | null, observe: RevocationObserver) {
    this.#marks = marks;
    this.#shared = shared;
    this.#observe = observe;
  }

  apply({ kind, names }: Revocation): void {
    const arrivedAt = performance.now();
    for (const name of names) {
      this.#marks.raise(name);
      // A token's own key in the blacklist is read with its record; holders have a mark there instead.
      if (!name.startsWith('jti:')) void this.#shared?.raiseMark(new HolderKeys(name));
    }
    this.#observe(kind, (performance.now() - arrivedAt) / 1000);
    if (names.length > 0) this.onOutdated();
  }
}
