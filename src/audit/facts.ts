import { randomUUID } from 'node:crypto';
import { type AuditIdentity, identityText } from './identity-text.ts';

/** What an event's type may be (contract §6). */
const EVENT_TYPES = ['request', 'auth_failed', 'policy_denied', 'hpc_denied'] as const;

const DECISIONS = [null, 'allow', 'deny'] as const;

/** One request, as the trail sees it. Read at once: nothing of it is kept. */
export interface AuditSubject {
  /** UUID of the event; without, it gets one. Set where a promise of this event is on disk already. */
  readonly eventId?: string;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  readonly traceId: string;
  readonly method: string;
  /** As sent, without query; may hold any byte where the request was refused for it. */
  readonly path: string;
  /** Raw, without the question mark. */
  readonly query: string;
  readonly resource: string | null;
  readonly clientAddress: string;
  readonly identity: AuditIdentity | null;
  /** The platform service that called, by its service token. */
  readonly callerService: string | null;
  readonly routeService: string | null;
  readonly eventType: (typeof EVENT_TYPES)[number];
  readonly decision: (typeof DECISIONS)[number];
  readonly reason: string | null;
  /** The stage that refused; null where none did. */
  readonly stage: string | null;
  readonly statusCode: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Milliseconds; -1 where a stage did not have to ask anybody. */
  readonly latencyMs: number;
  readonly authMs: number;
  readonly policyMs: number;
  readonly hpcMs: number;
  readonly upstreamMs: number;
}

/** Texts and numbers of one event, in the order of {@link FactsBatch.add}. */
const TEXTS = 12;
const NUMBERS = 12;

/** What a batch looks like on its way to the thread: flat strings and numbers, the cheapest to clone. */
export interface PackedFacts {
  readonly texts: readonly string[];
  readonly numbers: Float64Array;
}

/** One event's facts as the thread reads them back; texts that were null are empty. */
export interface Facts {
  eventId: string;
  traceId: string;
  method: string;
  path: string;
  query: string;
  resource: string;
  client: string;
  /** Two pieces of JSON text, separated by a line feed. */
  who: string;
  caller: string;
  route: string;
  reason: string;
  stage: string;
  /** A promise of an event whose end is not known yet, not the event itself. */
  intent: boolean;
  /** Whether the event is told before its end is known. */
  open: boolean;
  eventType: string;
  decision: string | null;
  startedAt: number;
  statusCode: number;
  bytesIn: number;
  bytesOut: number;
  latencyMs: number;
  authMs: number;
  policyMs: number;
  hpcMs: number;
  upstreamMs: number;
}

/**
 * Collects the facts of requests in two flat lists. Their JSON text is made elsewhere, many at a time: made
 * here, between system calls, one would cost ten microseconds (HTTP hot path).
 */
export class FactsBatch {
  #texts: string[] = [];
  #numbers: Float64Array;
  #count = 0;

  /** @param capacity events expected at most; more make it grow */
  constructor(capacity: number) {
    this.#numbers = new Float64Array(capacity * NUMBERS);
  }

  get count(): number {
    return this.#count;
  }

  /** Notes one event. Gives its id. */
  add(subject: AuditSubject, intent: boolean): string {
    const eventId = subject.eventId || randomUUID();
    this.#texts.push(
      eventId,
      subject.traceId,
      subject.method,
      subject.path,
      subject.query,
      subject.resource ?? '',
      subject.clientAddress,
      identityText(subject.identity),
      subject.callerService ?? '',
      subject.routeService ?? '',
      subject.reason ?? '',
      subject.stage ?? '',
    );
    let i = this.#count++ * NUMBERS;
    if (i === this.#numbers.length) this.#grow();
    const numbers = this.#numbers;
    numbers[i++] = intent ? 1 : 0;
    numbers[i++] = EVENT_TYPES.indexOf(subject.eventType);
    numbers[i++] = DECISIONS.indexOf(subject.decision);
    numbers[i++] = subject.startedAt;
    numbers[i++] = subject.statusCode;
    numbers[i++] = subject.bytesIn;
    numbers[i++] = subject.bytesOut;
    numbers[i++] = subject.latencyMs;
    numbers[i++] = subject.authMs;
    numbers[i++] = subject.policyMs;
    numbers[i++] = subject.hpcMs;
    numbers[i++] = subject.upstreamMs;
    return eventId;
  }

  /** Gives what was collected and begins anew. */
  take(): PackedFacts {
    const packed = { texts: this.#texts, numbers: this.#numbers.slice(0, this.#count * NUMBERS) };
    this.#texts = [];
    this.#count = 0;
    return packed;
  }

  #grow(): void {
    const larger = new Float64Array(this.#numbers.length * 2);
    larger.set(this.#numbers);
    this.#numbers = larger;
  }
}

export function countOf({ numbers }: PackedFacts): number {
  return numbers.length / NUMBERS;
}

/** Reads one event's facts back. */
export function unpack({ texts, numbers }: PackedFacts, index: number): Facts {
  const text = (offset: number) => texts[index * TEXTS + offset] ?? '';
  const number = (offset: number) => numbers[index * NUMBERS + offset] ?? 0;
  return {
    eventId: text(0),
    traceId: text(1),
    method: text(2),
    path: text(3),
    query: text(4),
    resource: text(5),
    client: text(6),
    who: text(7),
    caller: text(8),
    route: text(9),
    reason: text(10),
    stage: text(11),
    intent: number(0) === 1,
    open: false,
    eventType: EVENT_TYPES[number(1)] ?? 'request',
    decision: DECISIONS[number(2)] ?? null,
    startedAt: number(3),
    statusCode: number(4),
    bytesIn: number(5),
    bytesOut: number(6),
    latencyMs: number(7),
    authMs: number(8),
    policyMs: number(9),
    hpcMs: number(10),
    upstreamMs: number(11),
  };
}
