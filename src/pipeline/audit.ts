import type { AuditTrail } from '../audit/trail.ts';
import type { Exchange } from './exchange.ts';
import type { Stage } from './stage.ts';
import { ALLOW } from './verdict.ts';

/**
 * One event per request. The stage itself always lets pass, because audit fails open; the event is recorded
 * when the exchange is over and its outcome is known.
 */
export class Audit implements Stage {
  readonly name = 'audit';
  readonly #trail: AuditTrail | null;

  /** @param trail null: audit is switched off */
  constructor(trail: AuditTrail | null) {
    this.#trail = trail;
  }

  decide() {
    return ALLOW;
  }

  /** Records the exchange; called once for each, refused ones included. */
  record(exchange: Exchange): void {
    this.#trail?.record(exchange);
  }
}
