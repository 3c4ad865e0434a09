import type { Applicant } from './admission.ts';
import type { UpstreamCall, UpstreamFault } from './call.ts';
import type { UpstreamService } from './service.ts';
import type { Target } from './target.ts';
import { type ResponseOwner, UpstreamResponse } from './upstream-response.ts';

/** Tries of one request at most. */
const MAX_TRIES = 3;

/** Methods that may be repeated (RFC 9110 §9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'PUT',
  'DELETE',
  'PROPFIND',
  'SEARCH',
  'QUERY',
]);

/** How a request that was tried again ended, or that the budget did not allow it. */
export type RetryResult = 'succeeded' | 'failed' | 'over_budget';

/** What a delivery needs of the forwarder. */
export interface Carrier {
  /** Milliseconds an answer may pause once its head has come. */
  readonly streamIdleTimeout: number;
  /** Sends the call's request to a target; what comes of it is told to `response`. Never throws. */
  send(call: UpstreamCall, target: Target, response: UpstreamResponse): void;
  failed(service: string, kind: UpstreamFault | 'aborted' | 'truncated'): void;
  retried(service: string, result: RetryResult): void;
}

/** Brings one request to a target of its service: waits for a place, chooses, tries again where that is safe. */
export class Delivery implements Applicant, ResponseOwner {
  readonly #call: UpstreamCall;
  readonly #service: UpstreamService;
  readonly #carrier: Carrier;
  readonly #response: UpstreamResponse;
  #target: Target | null = null;
  #tries = 0;
  #holdsPlace = false;
  #over = false;

  constructor(call: UpstreamCall, service: UpstreamService, carrier: Carrier) {
    this.#call = call;
    this.#service = service;
    this.#carrier = carrier;
    this.#response = new UpstreamResponse(call, this);
  }

  start(): void {
    this.#service.admission.apply(this);
  }

  /** The client is gone, or may not go on: cancels the upstream's work. */
  abort(): void {
    if (this.#over) return;
    if (!this.#holdsPlace) this.#service.admission.forget(this);
    this.#carrier.failed(this.#service.name, 'aborted');
    this.#response.abort();
    this.ended();
  }

  /** Gives up where the service keeps the caller waiting for too long. @param now by `performance.now` */
  look(now: number): void {
    this.#response.look(now, this.#carrier.streamIdleTimeout);
  }

  admitted(): void {
    this.#holdsPlace = true;
    this.#service.budget.deposit();
    this.#send(null);
  }

  turnedAway(): void {
    this.#fail('overloaded', 1_000);
  }

  answered(status: number): void {
    if (this.#target !== null) this.#service.answered(this.#target, status);
    if (this.#tries > 1) this.#carrier.retried(this.#service.name, 'succeeded');
    // A stream may stay open for hours with little to do; requests must not wait for it to end.
    if (this.#call.eventStream) this.#giveBackPlace();
  }

  truncated(): void {
    this.#carrier.failed(this.#service.name, 'truncated');
    this.ended();
  }

  failed(fault: UpstreamFault | 'aborted', sent: boolean, answering: boolean): void {
    if (this.#over) return;
    if (fault === 'aborted') {
      this.abort();
      return;
    }
    if (fault === 'too_large') {
      this.#fail(fault, 0);
      return;
    }
    const target = this.#leaveTarget();
    if (target !== null && isTargetFault(fault)) {
      this.#service.failed(target, fault);
      if (!answering && this.#mayRepeat(fault, sent, target)) {
        this.#response.reset();
        // In a turn of its own: other connections to the same target may be about to break, too.
        setImmediate(() => {
          if (!this.#over) this.#send(target);
        });
        return;
      }
    }
    if (this.#tries > 1) this.#carrier.retried(this.#service.name, 'failed');
    this.#fail(fault, 0);
  }

  ended(): void {
    if (this.#over) return;
    this.#over = true;
    this.#leaveTarget();
    this.#giveBackPlace();
  }

  #send(failed: Target | null): void {
    const target = this.#service.choose(!this.#call.hasBody && IDEMPOTENT.has(this.#call.method), failed);
    if (target === null) {
      this.#fail('circuit_open', this.#service.waitsFor);
      return;
    }
    this.#tries++;
    this.#target = target;
    target.inFlight++;
    this.#carrier.send(this.#call, target, this.#response);
  }

  /** Whether a failure leaves no doubt that the request can be sent once more, and the budget allows it. */
  #mayRepeat(fault: UpstreamFault, sent: boolean, target: Target): boolean {
    if (this.#tries >= MAX_TRIES) return false;
    const { targets } = this.#service;
    if (sent) {
      // A connection that broke before a byte of the answer: kept too long, or its server went down.
      if (fault !== 'reset' || this.#call.hasBody || !IDEMPOTENT.has(this.#call.method)) return false;
    } else if (targets.length === 1 && targets[0] === target) {
      return false; // no connection was made, and there is nobody else to ask
    }
    if (this.#service.budget.withdraw(performance.now())) return true;
    this.#carrier.retried(this.#service.name, 'over_budget');
    return false;
  }

  #fail(fault: UpstreamFault, retryAfter: number): void {
    this.#carrier.failed(this.#service.name, fault);
    this.ended();
    this.#call.upstreamFailed(fault, retryAfter);
  }

  #leaveTarget(): Target | null {
    const target = this.#target;
    if (target !== null) target.inFlight--;
    this.#target = null;
    return target;
  }

  #giveBackPlace(): void {
    if (!this.#holdsPlace) return;
    this.#holdsPlace = false;
    this.#service.admission.leave();
  }
}

function isTargetFault(fault: UpstreamFault): fault is 'refused' | 'reset' | 'timeout' | 'protocol' {
  return fault === 'refused' || fault === 'reset' || fault === 'timeout' || fault === 'protocol';
}
