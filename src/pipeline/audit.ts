import type { AuditSubject, AuditTrail } from '../audit/trail.ts';
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

  decide(): typeof ALLOW {
    return ALLOW;
  }

  /** Records a request; called once for each, refused ones included. */
  record(subject: AuditSubject): void {
    this.#trail?.record(subject);
  }
}
