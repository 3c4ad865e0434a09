/** Counts connections by where they come from, so that nobody takes all of them. */
export class ConnectionLimit {
  readonly #max: number;
  readonly #counts = new Map<string, number>();

  /** @param max connections of one address */
  constructor(max: number) {
    this.#max = max;
  }

  /** Takes a place; null where none is left, else what gives it back. */
  take(address: string): (() => void) | null {
    const origin = originOf(address);
    const count = this.#counts.get(origin) ?? 0;
    if (count >= this.#max) return null;
    this.#counts.set(origin, count + 1);
    return () => {
      const rest = (this.#counts.get(origin) ?? 1) - 1;
      if (rest === 0) this.#counts.delete(origin);
      else this.#counts.set(origin, rest);
    };
  }
}

/** An IPv4 address, or the network of an IPv6 address: one host has all addresses of a /64 (RFC 7421). */
function originOf(address: string): string {
  if (!address.includes(':')) return address; // a socket's address is well formed
  const [left = '', right] = address.split('::');
  const head = left === '' ? [] : left.split(':');
  if (right === undefined) return head.slice(0, 4).join(':');
  const tail = right === '' ? [] : right.split(':');
  const zeros = Array<string>(8 - head.length - tail.length).fill('0');
  return [...head, ...zeros, ...tail].slice(0, 4).join(':');
}
