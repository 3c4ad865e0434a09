import { z } from 'zod';
import { digestOf } from './chain.ts';
import { ChainRecord, type TrailFault } from './chain-record.ts';
import type { AuditSigner } from './signature.ts';
import type { TrailEntry } from './trail-entry.ts';

const chainText = z.object({
  worker: z.string().max(64),
  seq: z.int().positive(),
  prev: z.string().max(64).nullable(),
});

const eventText = z.object({
  service: z.unknown(),
  timestamp: z.unknown(),
  latency_ms: z.unknown(),
  context: z.object({ chain: z.unknown() }).optional().catch(undefined),
});

/** What a verification has found. */
export interface Verdict {
  readonly entries: number;
  /** Events of this gateway with a right signature, repeats left out. */
  readonly events: number;
  /** Events that arrived more than once: harmless, their ids are the same. */
  readonly repeats: number;
  /** Entries of other services, which are not judged. */
  readonly foreign: number;
  /** Events with a right signature and no place in a chain. */
  readonly unchained: number;
  readonly chains: readonly { readonly worker: string; readonly from: number; readonly to: number }[];
  readonly faults: readonly TrailFault[];
  /** What is worth knowing and no fault. */
  readonly notes: readonly string[];
}

/**
 * Judges a range of the trail: every signature, and whether the chains are whole. Entries may be given in the
 * order in which they arrived only.
 */
export class TrailVerifier {
  readonly #signer: AuditSigner;
  readonly #chains = new Map<string, ChainRecord>();
  readonly #faults: TrailFault[] = [];
  #entries = 0;
  #foreign = 0;
  #unchained = 0;

  constructor(signer: AuditSigner) {
    this.#signer = signer;
  }

  add({ id, place, data, sig }: TrailEntry): void {
    this.#entries++;
    if (data === null) {
      this.#foreign++;
      return;
    }
    const event = parse(data);
    const chain = chainText.safeParse(event?.context?.chain).data;
    const right = this.#signer.verify(data, sig);
    if (!right && chain === undefined && event?.service !== 'gateway' && !claimsGateway(data)) {
      this.#foreign++;
      return;
    }
    if (!right) {
      this.#faults.push(
        sig === ''
          ? { kind: 'unsigned', place, message: 'has no signature' }
          : { kind: 'forged', place, message: 'its signature is not that of its text' },
      );
    }
    if (chain === undefined) {
      if (right) this.#unchained++;
      return;
    }
    const digest = right ? digestOf(data) : null;
    this.#chainOf(chain.worker, right)?.add({ ...chain, digest, place, delay: delayOf(event, id) });
  }

  /** @param complete nothing lies before what was given: chains have to begin with their first event */
  verdict(complete: boolean): Verdict {
    const chains = [...this.#chains.values()];
    const notes: string[] = [];
    const faults = [...this.#faults, ...chains.flatMap((chain) => chain.faults(complete))];
    for (const chain of chains) this.#judgeBeginning(chain, faults, notes);
    return {
      entries: this.#entries,
      events: chains.reduce((sum, { count }) => sum + count, 0) + this.#unchained,
      repeats: chains.reduce((sum, { repeats }) => sum + repeats, 0),
      foreign: this.#foreign,
      unchained: this.#unchained,
      chains: chains.map(({ worker, ordered }) => {
        return { worker, from: ordered[0]?.seq ?? 0, to: ordered.at(-1)?.seq ?? 0 };
      }),
      faults,
      notes,
    };
  }

  /** A text that is not trusted begins no chain. */
  #chainOf(worker: string, trusted: boolean): ChainRecord | undefined {
    let chain = this.#chains.get(worker);
    if (chain === undefined && trusted) {
      chain = new ChainRecord(worker);
      this.#chains.set(worker, chain);
    }
    return chain;
  }

  /** A chain's first event names the last one of the worker's predecessor: what came behind that is missing. */
  #judgeBeginning(chain: ChainRecord, faults: TrailFault[], notes: string[]): void {
    const [first] = chain.ordered;
    if (first === undefined || first.seq !== 1 || first.prev === null) return;
    const others = [...this.#chains.values()].filter((other) => other !== chain);
    if (others.some((other) => other.ordered.some(({ digest }) => digest === first.prev))) return;
    const before = others
      .filter(
        ({ worker }) => slotOf(worker) === slotOf(chain.worker) && startOf(worker) < startOf(chain.worker),
      )
      .sort((a, b) => startOf(a.worker) - startOf(b.worker))
      .at(-1);
    const last = before?.ordered.at(-1);
    if (before === undefined || last === undefined) {
      notes.push(`chain ${chain.worker} continues one that is outside the range`);
    } else if (last.digest !== null) {
      const message = `events of chain ${before.worker} behind it are missing: ${first.place} continues a later one`;
      faults.push({ kind: 'missing', place: last.place, message });
    }
  }
}

function parse(data: string): z.infer<typeof eventText> | null {
  try {
    return eventText.safeParse(JSON.parse(data)).data ?? null;
  } catch {
    return null;
  }
}

/** Text that is no JSON any more may still say whose it was. */
function claimsGateway(data: string): boolean {
  return /"service"\s*:\s*"gateway"|"chain"\s*:\s*\{\s*"worker"/.test(data);
}

function delayOf(event: z.infer<typeof eventText> | null, id: string | null): number | null {
  if (id === null || typeof event?.timestamp !== 'string' || typeof event.latency_ms !== 'number')
    return null;
  const delay = Number(id.split('-', 1)[0]) - (Date.parse(event.timestamp) + event.latency_ms);
  return Number.isNaN(delay) ? null : delay;
}

/** Installation and slot: what a worker has in common with the one it replaced. */
function slotOf(worker: string): string {
  return worker.slice(0, worker.lastIndexOf('.'));
}

function startOf(worker: string): number {
  return Number.parseInt(worker.slice(worker.lastIndexOf('.') + 1), 36);
}
