import type { Identity } from '../platform/identity.ts';
import type { Exchange } from './exchange.ts';
import type { Stage } from './stage.ts';
import { ALLOW, refusals, type Verdict } from './verdict.ts';

/** How many sockets may one caller hold open? A place is taken with the yes and given back at the end. */
export class SocketLimit implements Stage {
  readonly name = 'upgrade';
  readonly #max: number;
  readonly #held = new Map<string, number>();

  /** @param max sockets of one caller in this worker */
  constructor(max: number) {
    this.#max = max;
  }

  decide({ identity, callerService, upgrade }: Exchange): Verdict {
    if (identity === null || upgrade === null) return refusals.internal('upgrade');
    const holder = holderOf(identity, callerService);
    const held = this.#held.get(holder) ?? 0;
    if (held >= this.#max) return refusals.tooManySockets;
    this.#held.set(holder, held + 1);
    upgrade.release = () => this.#release(holder);
    return ALLOW;
  }

  #release(holder: string): void {
    const held = (this.#held.get(holder) ?? 1) - 1;
    if (held === 0) this.#held.delete(holder);
    else this.#held.set(holder, held);
  }
}

/** One person, client or service, whatever tokens they hold. */
function holderOf({ facts }: Identity, callerService: string | null): string {
  return `${facts.userId}:${facts.clientId ?? ''}:${callerService ?? ''}`;
}
