import type { AuditTrail } from '../audit/trail.ts';
import type { Exchange } from './exchange.ts';
import { type Refusal, refusals } from './verdict.ts';

/**
 * Holds answers back until their record is on disk (`AUDIT_MODE=strict`). The record written here is a
 * promise: what is known when the answer begins. The event follows under the same id when the exchange is
 * over; should the process die before, the promise becomes the event.
 */
export class AnswerGate {
  readonly #trail: AuditTrail;
  readonly #refuse: (exchange: Exchange, refusal: Refusal) => void;

  /** @param refuse answers an exchange of which no record can be kept; it is not held back again */
  constructor(trail: AuditTrail, refuse: (exchange: Exchange, refusal: Refusal) => void) {
    this.#trail = trail;
    this.#refuse = refuse;
  }

  /** Calls `proceed` once the answer may begin. Of several calls for one exchange, the last one counts. */
  hold(exchange: Exchange, proceed: () => void): void {
    if (!exchange.audited || exchange.gate === 'open') {
      proceed();
      return;
    }
    exchange.proceed = proceed;
    if (exchange.gate === 'waiting') return;
    exchange.gate = 'waiting';
    exchange.eventId = this.#trail.promise(exchange, (kept) => this.#settled(exchange, kept));
  }

  #settled(exchange: Exchange, kept: boolean): void {
    exchange.gate = 'open';
    const { proceed } = exchange;
    exchange.proceed = null;
    if (exchange.closed) return;
    if (kept) {
      proceed?.();
      return;
    }
    exchange.upstream?.abort();
    this.#refuse(exchange, unavailableFor(exchange));
  }
}

/** What a caller is told whose request leaves no record; nginx takes nothing but 401 and 403 for a no. */
export function unavailableFor(exchange: Exchange): Refusal {
  return exchange.path === '/auth/verify' ? refusals.verifyUnaudited : refusals.auditUnavailable;
}
