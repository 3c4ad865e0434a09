/** Fewest bytes a shared secret may have: the output size of SHA-256 (RFC 7518 §3.2, RFC 8725 §3.5). */
const MIN_SECRET_BYTES = 32;

/** Marks of secrets that came from a tutorial, a template or a default and are known to everybody. */
const WELL_KNOWN =
  /change.?(me|this|in.?production)|your.?(256.?bit.?)?(jwt.?)?(secret|key)|super.?secret|placeholder|insecure|example|default.?secret|(dev|test|local|demo).?(only|secret|key)|omnibioai.?(secret|dev|jwt)/i;

/**
 * What is wrong with a shared secret, or null if it may be used in production. The text never holds any
 * part of the secret.
 */
export function secretWeakness(secret: string): string | null {
  if (Buffer.byteLength(secret) < MIN_SECRET_BYTES) return `is shorter than ${MIN_SECRET_BYTES} bytes`;
  if (WELL_KNOWN.test(secret)) return 'is a well-known placeholder';
  if (new Set(secret).size < 10) return 'repeats a few characters';
  return null;
}
