/** Longest text the consumer's database takes (contract §6); a longer value would never be acknowledged. */
export const MAX_LENGTH = 255;

/** Characters that stand for themselves in JSON. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

/** What `JSON.stringify` leaves as it is and ASCII does not hold, and DEL. */
const BEYOND_ASCII = /[\x7f-\uffff]/g;

/**
 * JSON text of a string, in ASCII only: one character is one byte wherever the text goes. Lone surrogates
 * are replaced, because other parsers refuse even their escapes.
 */
export function quoted(value: string): string {
  return PLAIN.test(value) ? `"${value}"` : escaped(JSON.stringify(value.toWellFormed()));
}

/** The same, cut to what the consumer stores; never in the middle of a character. */
export function capped(value: string): string {
  return quoted(value.length > MAX_LENGTH ? value.slice(0, MAX_LENGTH) : value);
}

/** JSON text of a string or, where it is empty, null. */
export function nullable(value: string): string {
  return value === '' ? 'null' : capped(value);
}

/** JSON text in ASCII of anything `JSON.stringify` takes. For cold paths. */
export function asciiJson(value: unknown): string {
  return escaped(JSON.stringify(value));
}

function escaped(json: string): string {
  return json.replace(BEYOND_ASCII, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
