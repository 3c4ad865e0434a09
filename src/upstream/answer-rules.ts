import { UpstreamTimeout } from './faults.ts';

/** What is wrong with the framing of an answer that the parser let through; null where nothing is. */
export function framingFault(headers: Readonly<Record<string, string | string[] | undefined>>): Error | null {
  const coding = headers['transfer-encoding'];
  if (coding === undefined || (typeof coding === 'string' && coding.toLowerCase() === 'chunked')) return null;
  // Nobody asked for another one (no TE was sent), and the client could not undo it.
  return new TypeError(`unknown transfer coding: ${coding}`);
}

/**
 * What is wrong with an interim answer: a switch to another protocol that nobody asked for, or without the
 * headers that make it one (RFC 9110 §7.8); or a series that goes on for longer than the final one may take.
 */
export function interimFault(status: number, waited: number, timeout: number): Error | null {
  if (status === 101) return new TypeError('unexpected 101');
  return waited > timeout ? new UpstreamTimeout() : null;
}
