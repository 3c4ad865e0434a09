import { Admission } from './admission.ts';
import type { TargetFault } from './call.ts';
import { RetryBudget } from './retry-budget.ts';
import type { Target } from './target.ts';

/** Failures in a row that eject a target while another one is up. */
const EJECT_AFTER = 3;

/** Failures in a row after which callers of the last target are not kept waiting any more. */
const BREAK_AFTER = 10;

/** Told of what happens between gateway and services. */
export interface ServiceObserver {
  /** A target left the rotation or came back. */
  moved(service: string, target: Target): void;
}

/** What the upstream did: a fault, or `status` for an answer that says it is out of service (502, 503, 504). */
export type Failure = TargetFault | 'status';

/** The instances of one service, and who may ask them. */
export class UpstreamService {
  readonly name: string;
  readonly targets: readonly Target[];
  readonly admission: Admission;
  readonly budget = new RetryBudget(performance.now());
  readonly #observer: ServiceObserver;

  /** @param places requests at once */
  constructor(name: string, targets: readonly Target[], places: number, observer: ServiceObserver) {
    this.name = name;
    this.targets = targets;
    this.admission = new Admission(places);
    this.#observer = observer;
  }

  /**
   * Chooses the target for a request: the less busy one of two drawn at random. Null: all are given up for
   * the moment.
   * @param eager whether the request could be tried again elsewhere
   * @param failed where it was tried before
   */
  choose(eager: boolean, failed: Target | null): Target | null {
    const { targets } = this;
    if (targets.length === 1) return this.#onlyTarget(targets[0] as Target); // its length was just seen
    const probe = this.#dueProbe(eager, failed);
    if (probe !== null) return probe;
    const draw = Math.floor(Math.random() * targets.length);
    const one = this.#upFrom(draw, failed);
    if (one === null) return this.#lastResort(failed);
    const step = 1 + Math.floor(Math.random() * (targets.length - 1));
    const other = this.#upFrom((draw + step) % targets.length, failed) ?? one;
    return other.inFlight < one.inFlight ? other : one;
  }

  /** Milliseconds until a request may be let through to a service that was given up. */
  get waitsFor(): number {
    const now = performance.now();
    return Math.min(...this.targets.map(({ breaker }) => breaker.waitsFor(now)));
  }

  /** Notes what an answer's status says about its target. */
  answered(target: Target, status: number): void {
    if (status === 502 || status === 503 || status === 504) this.failed(target, 'status');
    else if (target.breaker.succeeded()) this.#observer.moved(this.name, target);
  }

  failed(target: Target, failure: Failure): void {
    target.lastFault = failure;
    const isLast = !this.targets.some((other) => other !== target && other.isUp);
    // The last one is never ejected, and asking it costs nobody time while it refuses or answers.
    if (isLast && target.breaker.closed && !costsTime(failure)) return;
    if (target.breaker.failed(performance.now(), isLast ? BREAK_AFTER : EJECT_AFTER)) {
      this.#observer.moved(this.name, target);
    }
  }

  /** Notes the result of an active check. */
  checked(target: Target, passed: boolean): void {
    if (passed) target.breaker.hasten(performance.now());
    if (target.checkFailed === !passed) return;
    target.checkFailed = !passed;
    this.#observer.moved(this.name, target);
  }

  #onlyTarget(target: Target): Target | null {
    if (target.breaker.closed) return target;
    const now = performance.now();
    return target.breaker.isDue(now, true) ? this.#probing(target, now) : null;
  }

  #dueProbe(eager: boolean, failed: Target | null): Target | null {
    for (const target of this.targets) {
      if (target.breaker.closed || target === failed) continue;
      const now = performance.now(); // only where a target is out
      if (target.breaker.isDue(now, eager)) return this.#probing(target, now);
    }
    return null;
  }

  #probing(target: Target, now: number): Target {
    target.breaker.probe(now);
    return target;
  }

  #upFrom(start: number, failed: Target | null): Target | null {
    const { targets } = this;
    for (let i = 0; i < targets.length; i++) {
      const target = targets[(start + i) % targets.length] as Target; // within the list
      if (target !== failed && target.isUp) return target;
    }
    return null;
  }

  /** No other target is up: one that would at least say no at once, else where the request failed before. */
  #lastResort(failed: Target | null): Target | null {
    const others = this.targets.filter((target) => target !== failed);
    const hopeful =
      others.find(({ breaker }) => breaker.closed) ??
      others.find(({ lastFault }) => lastFault === null || !costsTime(lastFault));
    if (hopeful !== undefined) return hopeful;
    return this.#dueProbe(true, failed) ?? (failed?.breaker.closed === true ? failed : null);
  }
}

/** Whether callers wait for such a failure, or the target may have done half of the work. */
function costsTime(failure: Failure): boolean {
  return failure !== 'refused' && failure !== 'status';
}
