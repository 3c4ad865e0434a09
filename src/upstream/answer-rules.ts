/** What is wrong with the framing of an answer that the parser let through; null where nothing is. */
export function framingFault(headers: Readonly<Record<string, string | string[] | undefined>>): Error | null {
  const coding = headers['transfer-encoding'];
  if (coding === undefined || (typeof coding === 'string' && coding.toLowerCase() === 'chunked')) return null;
  // Nobody asked for another one (no TE was sent), and the client could not undo it.
  return new TypeError(`unknown transfer coding: ${coding}`);
}

/** What is wrong with an interim answer: a switch to another protocol that nobody asked for (RFC 9110 §7.8). */
export function interimFault(status: number): Error | null {
  return status === 101 ? new TypeError('unexpected 101') : null;
}
