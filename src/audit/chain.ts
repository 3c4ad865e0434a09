import { hash } from 'node:crypto';

/** An event's place among all events of one worker. */
export interface ChainLink {
  /** Names the chain: instance, slot and start of the worker. */
  readonly worker: string;
  /** Counts from 1. */
  readonly seq: number;
  /** SHA-256 of the text of the event before, in hex; of the chain before at the first, null if unknown. */
  readonly prev: string | null;
}

/** Digest by which the next event names the one before. */
export function digestOf(data: string | Buffer): string {
  return hash('sha256', data);
}

/** Numbers the events of this process, each naming the one before. */
export class Chain {
  readonly worker: string;
  #seq = 0;
  #last: string | null;

  /** @param last digest of the last event of the chain that this one follows; null where it is not known */
  constructor(worker: string, last: string | null) {
    this.worker = worker;
    this.#last = last;
  }

  /** The state now, for {@link reset}. */
  mark(): { readonly seq: number; readonly last: string | null } {
    return { seq: this.#seq, last: this.#last };
  }

  /** Takes back events that were added since `mark` and went nowhere. */
  reset({ seq, last }: { readonly seq: number; readonly last: string | null }): void {
    this.#seq = seq;
    this.#last = last;
  }

  /** Place of the next event. */
  next(): ChainLink {
    return { worker: this.worker, seq: this.#seq + 1, prev: this.#last };
  }

  /** Takes up the event that was given the place of {@link next}. */
  add(data: Buffer): void {
    this.#seq++;
    this.#last = digestOf(data);
  }
}
