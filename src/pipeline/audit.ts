import type { AuditSubject, AuditTrail } from '../audit/trail.ts';
import { unavailableFor } from './answer-gate.ts';
import type { Exchange } from './exchange.ts';
import type { Stage } from './stage.ts';
import { ALLOW, type Verdict } from './verdict.ts';

/**
 * One event per request, recorded when the exchange is over and its outcome is known. The stage itself lets
 * pass, because audit fails open; only in strict mode nothing is forwarded while no record could be kept.
 */
export class Audit implements Stage {
  readonly name = 'audit';
  readonly #trail: AuditTrail | null;
  /** The trail in strict mode; null: answers wait for nothing. */
  readonly strict: AuditTrail | null;

  /** @param trail null: audit is switched off */
  constructor(trail: AuditTrail | null) {
    this.#trail = trail;
    this.strict = trail?.strict ? trail : null;
  }

  decide(exchange: Exchange): Verdict {
    return this.strict === null || this.strict.available ? ALLOW : unavailableFor(exchange);
  }

  /** Records a request; called once for each, refused ones included. */
  record(subject: AuditSubject): void {
    this.#trail?.record(subject);
  }
}
