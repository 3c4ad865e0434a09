import { randomUUID } from 'node:crypto';
import { type AuditIdentity, identityText } from './identity-text.ts';

/** What an event's type may be (contract §6). */
const EVENT_TYPES = ['request', 'auth_failed', 'policy_denied', 'hpc_denied'] as const;

const DECISIONS = [null, 'allow', 'deny'] as const;

/** One request, as the trail sees it. Read at once: nothing of it is kept. */
export interface AuditSubject {
  /** UUID of the event; without, its batch gives it one. Set where a promise of this event is on disk already. */
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
const TEXTS = 3;
const NUMBERS = 20;

/** What a batch looks like on its way to the thread: flat strings and numbers, the cheapest to clone. */
export interface PackedFacts {
  /** UUID of the batch, from which its events have theirs. */
  readonly id: string;
  /** What differs from event to event. */
  readonly texts: readonly string[];
  /** What many events have in common; they hold its index. The first is the empty text. */
  readonly shared: readonly string[];
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
 * Collects the facts of requests in flat lists. Their JSON text is made elsewhere, many at a time: made here,
 * between system calls, one would cost ten microseconds (HTTP hot path).
 */
export class FactsBatch {
  #id = randomUUID();
  #texts: string[] = [];
  #shared = new Map([['', 0]]);
  #numbers: Float64Array;
  #count = 0;

  /** @param capacity events expected at most; more make it grow */
  constructor(capacity: number) {
    this.#numbers = new Float64Array(capacity * NUMBERS);
  }

  get count(): number {
    return this.#count;
  }

  /** Notes one event. */
  add(subject: AuditSubject, intent: boolean): void {
    this.#texts.push(subject.traceId, subject.path, subject.resource ?? '');
    let i = this.#count++ * NUMBERS;
    if (i === this.#numbers.length) this.#grow();
    const numbers = this.#numbers;
    numbers[i++] = this.#share(subject.eventId ?? '');
    numbers[i++] = this.#share(subject.method);
    numbers[i++] = this.#share(subject.query);
    numbers[i++] = this.#share(subject.clientAddress);
    numbers[i++] = this.#share(identityText(subject.identity));
    numbers[i++] = this.#share(subject.callerService ?? '');
    numbers[i++] = this.#share(subject.routeService ?? '');
    numbers[i++] = this.#share(subject.reason ?? '');
    numbers[i++] = this.#share(subject.stage ?? '');
    numbers[i++] = (intent ? 1 : 0) + 2 * EVENT_TYPES.indexOf(subject.eventType);
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
  }

  /** The id of the event that was noted last, unless it brought its own. */
  get lastId(): string {
    return eventIdOf(this.#id, this.#count - 1);
  }

  /** Gives what was collected and begins anew. */
  take(): PackedFacts {
    const packed = {
      id: this.#id,
      texts: this.#texts,
      shared: [...this.#shared.keys()],
      numbers: this.#numbers.slice(0, this.#count * NUMBERS),
    };
    this.#id = randomUUID();
    this.#texts = [];
    this.#shared = new Map([['', 0]]);
    this.#count = 0;
    return packed;
  }

  #share(text: string): number {
    if (text === '') return 0;
    let index = this.#shared.get(text);
    if (index === undefined) {
      index = this.#shared.size;
      this.#shared.set(text, index);
    }
    return index;
  }

  #grow(): void {
    const larger = new Float64Array(this.#numbers.length * 2);
    larger.set(this.#numbers);
    this.#numbers = larger;
  }
}

/** A batch's UUID with the event's number in place of its last 32 random bits: it costs no random number of its own. */
function eventIdOf(batchId: string, index: number): string {
  return batchId.slice(0, -8) + index.toString(16).padStart(8, '0');
}

export function countOf({ numbers }: PackedFacts): number {
  return numbers.length / NUMBERS;
}

/** Reads one event's facts back. */
export function unpack({ id, texts, shared, numbers }: PackedFacts, index: number): Facts {
  const firstText = index * TEXTS;
  const firstNumber = index * NUMBERS;
  const number = (offset: number) => numbers[firstNumber + offset] ?? 0;
  const common = (offset: number) => shared[number(offset)] ?? '';
  return {
    eventId: common(0) || eventIdOf(id, index),
    traceId: texts[firstText] ?? '',
    method: common(1),
    path: texts[firstText + 1] ?? '',
    query: common(2),
    resource: texts[firstText + 2] ?? '',
    client: common(3),
    who: common(4),
    caller: common(5),
    route: common(6),
    reason: common(7),
    stage: common(8),
    intent: (number(9) & 1) === 1,
    open: false,
    eventType: EVENT_TYPES[number(9) >> 1] ?? 'request',
    decision: DECISIONS[number(10)] ?? null,
    startedAt: number(11),
    statusCode: number(12),
    bytesIn: number(13),
    bytesOut: number(14),
    latencyMs: number(15),
    authMs: number(16),
    policyMs: number(17),
    hpcMs: number(18),
    upstreamMs: number(19),
  };
}
