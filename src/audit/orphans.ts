import { join } from 'node:path';
import { Cursor } from './cursor.ts';
import { legacyOf, mayHoldPromises } from './recovery.ts';
import { isBefore, listSegments, segmentPath } from './segments.ts';
import type { Shipper } from './shipper.ts';
import type { AuditSigner } from './signature.ts';
import { Slot, slotNames } from './slot.ts';
import { Spool, type SpoolOptions } from './spool.ts';
import type { Tally } from './tally.ts';

/** Ships what workers left behind that were not replaced: their slots have no owner. */
export class Orphans {
  readonly #folder: string;
  readonly #options: SpoolOptions;
  readonly #signer: AuditSigner;
  readonly #tally: Tally;

  constructor(folder: string, options: SpoolOptions, signer: AuditSigner, tally: Tally) {
    this.#folder = folder;
    this.#options = options;
    this.#signer = signer;
    this.#tally = tally;
  }

  /**
   * Goes once through all slots but `own`.
   * @param adopt takes the promises a dead worker could not keep
   */
  async ship(own: string, shipper: Shipper, adopt: (promises: readonly string[]) => void): Promise<void> {
    for (const name of slotNames(this.#folder)) {
      if (name === own || !isUnfinished(join(this.#folder, name))) continue;
      const slot = Slot.tryClaim(this.#folder, name);
      if (slot !== null) await this.#shipSlot(slot, shipper, adopt);
    }
  }

  async #shipSlot(slot: Slot, shipper: Shipper, adopt: (promises: readonly string[]) => void): Promise<void> {
    const legacy = legacyOf(slot.folder, this.#signer);
    const header = () => JSON.stringify({ worker: slot.name, seq: 0, last: legacy.last, strict: false });
    const spool = new Spool(slot, { ...this.#options, header });
    let complete = false;
    try {
      for (let found = spool.read(spool.end); found !== null; found = spool.read(spool.end)) {
        const { count } = found.events;
        const { lastId } = count === 0 ? { lastId: '' } : await shipper.append(found.events);
        if (lastId === null) return;
        spool.acknowledge(found.end, lastId);
        this.#tally.add('adopted', count);
        this.#tally.add('replayed', count);
      }
      adopt(legacy.broken);
      complete = true;
    } finally {
      spool.close(complete);
    }
  }
}

/** Whether a slot's folder holds what the stream has not, or may hold promises nobody keeps. */
function isUnfinished(folder: string): boolean {
  const newest = listSegments(folder).findLast(({ size }) => size > 0);
  if (newest === undefined) return false;
  const position = Cursor.read(folder)?.position ?? { segment: 0, offset: 0 };
  const end = { segment: newest.number, offset: newest.size };
  // Events from behind a promise are acknowledged before it is kept. Whoever began the newest segment had taken over what
  // was promised before.
  return isBefore(position, end) || mayHoldPromises(segmentPath(folder, newest.number));
}
