/** Longest wait for a place. Milliseconds. */
const PATIENCE = 1_000;

/** Somebody who asks for a place. Exactly one of the two is called, unless {@link Admission.forget} comes first. */
export interface Applicant {
  admitted(): void;
  /** There is no place, or none came free in time. */
  turnedAway(): void;
}

/**
 * Places for requests to one service. Whoever finds none waits in a short queue: a service that is stuck
 * holds up its own callers, for a second, and nobody else's.
 */
export class Admission {
  readonly #places: number;
  readonly #queueMax: number;
  #taken = 0;
  /** In order of arrival, with the time until which each waits. */
  readonly #queue = new Map<Applicant, number>();
  #timer: NodeJS.Timeout | null = null;
  #handingOut = false;

  /** @param places requests at once; as many again may wait */
  constructor(places: number) {
    this.#places = places;
    this.#queueMax = places;
  }

  /** Requests that hold a place. */
  get taken(): number {
    return this.#taken;
  }

  /** Requests that wait for one. */
  get queued(): number {
    return this.#queue.size;
  }

  /** Admits at once where it can. */
  apply(applicant: Applicant): void {
    if (this.#taken < this.#places) {
      this.#taken++;
      applicant.admitted();
    } else if (this.#queue.size < this.#queueMax) {
      this.#queue.set(applicant, performance.now() + PATIENCE);
      this.#timer ??= setTimeout(this.#onTimer, PATIENCE);
    } else {
      applicant.turnedAway();
    }
  }

  /** Gives a place back; whoever waits longest gets it. */
  leave(): void {
    this.#taken--;
    // Whoever gives it back at once, because its request failed, leaves the rest to the loop that is running.
    if (this.#queue.size === 0 || this.#handingOut) return;
    this.#handingOut = true;
    for (const applicant of this.#queue.keys()) {
      if (this.#taken >= this.#places) break;
      this.#queue.delete(applicant);
      this.#taken++;
      applicant.admitted();
    }
    this.#handingOut = false;
  }

  /** Somebody does not wait any longer. */
  forget(applicant: Applicant): void {
    this.#queue.delete(applicant);
  }

  readonly #onTimer = () => {
    this.#timer = null;
    const now = performance.now();
    for (const [applicant, deadline] of this.#queue) {
      if (deadline > now) {
        this.#timer = setTimeout(this.#onTimer, deadline - now + 1);
        return;
      }
      this.#queue.delete(applicant);
      applicant.turnedAway();
    }
  };
}
