const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const STRINGS = /"(?:[^"\\]|\\.)*"/g;

/**
 * Reads a JSON object that every parser reads alike: UTF-8, and no member named twice at any depth. RFC 8259
 * §4 leaves open which of two namesakes counts, so that IAM and gateway could see different claims in one
 * token (RFC 7515 §4, RFC 8725 §2.4). Null for anything else.
 */
export function parseStrictObject(bytes: Uint8Array): Record<string, unknown> | null {
  let value: unknown;
  let text: string;
  try {
    text = utf8.decode(bytes);
    value = JSON.parse(text);
  } catch {
    return null; // no UTF-8 or no JSON: the caller refuses it
  }
  // Each member written has one colon outside of strings; a namesake is lost in parsing, its colon is not.
  const written = text.replace(STRINGS, '').split(':').length - 1;
  return isRecord(value) && written === countMembers(value) ? value : null;
}

function countMembers(value: unknown): number {
  if (Array.isArray(value)) return value.reduce((count: number, item) => count + countMembers(item), 0);
  if (!isRecord(value)) return 0;
  const members = Object.values(value);
  return members.reduce((count: number, member) => count + countMembers(member), members.length);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
