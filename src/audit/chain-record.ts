import { displaced } from './displaced.ts';

/** What is wrong with a trail, and where. */
export interface TrailFault {
  readonly kind: 'forged' | 'unsigned' | 'missing' | 'conflict' | 'moved' | 'broken';
  /** Id of the entry, or file and line. */
  readonly place: string;
  readonly message: string;
}

/** An event's place in its chain and what is needed to judge its neighbours. */
export interface Link {
  readonly seq: number;
  readonly prev: string | null;
  /** Null: its text cannot be trusted. */
  readonly digest: string | null;
  readonly place: string;
  /** Milliseconds from the end of the request to the arrival in the stream; null where it is not known. */
  readonly delay: number | null;
}

/** Events that waited for so long were kept while the stream was away, and may arrive out of order. */
const OUTAGE = 1_000;

/** All that was seen of one chain. */
export class ChainRecord {
  readonly worker: string;
  readonly #links = new Map<number, Link>();
  /** First arrivals in their order. */
  readonly #arrivals: Link[] = [];
  readonly #faults: TrailFault[] = [];
  #repeats = 0;

  constructor(worker: string) {
    this.worker = worker;
  }

  get count(): number {
    return this.#links.size;
  }

  get repeats(): number {
    return this.#repeats;
  }

  /** The links by their numbers. */
  get ordered(): Link[] {
    return [...this.#links.values()].sort((a, b) => a.seq - b.seq);
  }

  add(link: Link): void {
    const known = this.#links.get(link.seq);
    if (known === undefined) {
      this.#links.set(link.seq, link);
      this.#arrivals.push(link);
    } else if (known.digest === link.digest) {
      this.#repeats++;
    } else if (known.digest === null) {
      this.#links.set(link.seq, link); // a repeat that is whole stands for the one that was tampered with
    } else if (link.digest !== null) {
      this.#fault('conflict', link, `has number ${link.seq} of chain ${this.worker}, as has ${known.place}`);
    }
  }

  /**
   * Everything wrong with the chain itself.
   * @param complete nothing lies before the range, so that the chain has to begin with 1
   */
  faults(complete: boolean): TrailFault[] {
    const links = this.ordered;
    const [first] = links;
    if (complete && first !== undefined && first.seq > 1) {
      this.#fault('missing', first, `${missing(1, first.seq - 1)} of chain ${this.worker} before it`);
    }
    for (let i = 1; i < links.length; i++) {
      const [before, link] = [links[i - 1], links[i]];
      if (before === undefined || link === undefined) continue;
      if (link.seq > before.seq + 1) {
        const gap = missing(before.seq + 1, link.seq - 1);
        this.#fault('missing', before, `${gap} of chain ${this.worker} between it and ${link.place}`);
      } else if (before.digest !== null && link.digest !== null && link.prev !== before.digest) {
        this.#fault('broken', link, `does not name ${before.place} as the event before it`);
      }
    }
    this.#judgeOrder();
    return this.#faults;
  }

  /**
   * Events arrive in the order of their numbers, but for those that had to wait for the stream. An event that
   * arrived behind a later one without having waited was put there by somebody else.
   */
  #judgeOrder(): void {
    const usual = median(this.#arrivals.map(({ delay }) => delay ?? 0));
    let highest = 0;
    let suspicious = false;
    for (const { seq, delay } of this.#arrivals) {
      if (seq < highest && (delay === null || delay - usual < OUTAGE)) suspicious = true;
      highest = Math.max(highest, seq);
    }
    if (!suspicious) return;
    for (const index of displaced(this.#arrivals.map(({ seq }) => seq))) {
      const link = this.#arrivals[index];
      const [before, after] = [this.#arrivals[index - 1], this.#arrivals[index + 1]];
      if (link === undefined) continue;
      const [where, other] =
        after !== undefined && after.seq < link.seq ? ['before', after] : ['behind', before];
      const name = `number ${link.seq} of chain ${this.worker}`;
      this.#fault('moved', link, `${name} stands ${where} number ${other?.seq} (${other?.place})`);
    }
  }

  #fault(kind: TrailFault['kind'], { place }: Link, message: string): void {
    this.#faults.push({ kind, place, message });
  }
}

function missing(from: number, to: number): string {
  return from === to ? `number ${from} is missing` : `numbers ${from} to ${to} are missing`;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? 0;
}
