import { lookup } from 'node:dns';

/**
 * Looks from time to time at the addresses a name resolves to. Kept connections would go on to the old ones
 * for as long as they are busy, because only a new connection asks again.
 */
export class NameWatch {
  readonly #name: string;
  readonly #onChange: () => void;
  readonly #timer: NodeJS.Timeout;
  #addresses = '';

  /**
   * @param interval milliseconds
   * @param onChange told when the set of addresses is another one; their order does not matter
   */
  constructor(name: string, interval: number, onChange: () => void) {
    this.#name = name;
    this.#onChange = onChange;
    this.#timer = setInterval(() => this.#look(), interval);
    this.#timer.unref();
    this.#look();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    lookup(this.#name, { all: true }, (error, found) => {
      // A name that cannot be resolved for the moment has not moved.
      if (error !== null || found.length === 0) return;
      const addresses = found
        .map(({ address }) => address)
        .sort()
        .join();
      const moved = this.#addresses !== '' && this.#addresses !== addresses;
      this.#addresses = addresses;
      if (moved) this.#onChange();
    });
  }
}
