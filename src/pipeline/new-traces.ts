import { randomFillSync } from 'node:crypto';

/** Traces made at a time, at the price of one. Not more, because a trace that lives on keeps the text of all of them. */
const BATCH = 32;

/** Batches for which random bytes are drawn at a time: a draw costs tens of microseconds, however many it is of. */
const BATCHES_DRAWN = 32;

/** A random UUID (RFC 9562 §5.4), and the same digits as a W3C trace with a first span (Trace Context §3.2). */
const TEMPLATE =
  '________-____-____-____-____________00-________________________________-________________-01';
const UUID_LENGTH = 36;

/** Where the two digits of each random byte go: into the UUID, into the trace id, into the span id. */
const UUID_PLACES = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
const TRACE_PLACE = UUID_LENGTH + 3;
const SPAN_PLACE = TRACE_PLACE + 33;
const SPAN_BYTES = 8;

const DIGITS = Buffer.from('0123456789abcdef');

const random = Buffer.alloc(BATCHES_DRAWN * BATCH * (UUID_PLACES.length + SPAN_BYTES));
let drawn = random.length;
const made = Buffer.from(TEMPLATE.repeat(BATCH));
let text = '';
let next = 0;

/** A trace that begins here, both its notations cut from the text of many. */
class NewTrace {
  readonly #place: number;
  readonly #text: string;

  constructor(text: string, place: number) {
    this.#text = text;
    this.#place = place;
  }

  get traceId(): string {
    return this.#text.slice(this.#place, this.#place + UUID_LENGTH);
  }

  get traceparent(): string {
    return this.#text.slice(this.#place + UUID_LENGTH, this.#place + TEMPLATE.length);
  }

  /** The end of `traceparent`, for a trace that goes by another id: `-<span id>-01`. */
  get span(): string {
    return this.#text.slice(this.#place + SPAN_PLACE - 1, this.#place + TEMPLATE.length);
  }
}

/** Draws a trace from those made ahead. */
export function newTrace(): NewTrace {
  if (next === text.length) make();
  const trace = new NewTrace(text, next);
  next += TEMPLATE.length;
  return trace;
}

function make(): void {
  if (drawn === random.length) {
    randomFillSync(random);
    drawn = 0;
  }
  for (let place = 0; place < made.length; place += TEMPLATE.length) {
    for (let i = 0; i < UUID_PLACES.length; i++) {
      let byte = random[drawn++] as number; // as many were drawn as there are places
      if (i === 6) byte = (byte & 0x0f) | 0x40; // version
      if (i === 8) byte = (byte & 0x3f) | 0x80; // variant
      write(byte, place + (UUID_PLACES[i] as number));
      write(byte, place + TRACE_PLACE + 2 * i);
    }
    for (let i = 0; i < SPAN_BYTES; i++) write(random[drawn++] as number, place + SPAN_PLACE + 2 * i);
  }
  text = made.toString('latin1');
  next = 0;
}

function write(byte: number, place: number): void {
  made[place] = DIGITS[byte >> 4] as number; // four bits
  made[place + 1] = DIGITS[byte & 15] as number;
}
