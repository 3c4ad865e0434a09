import { isIPv6 } from 'node:net';

/**
 * What of an address tells clients apart: all of IPv4, and the /64 of IPv6, because a client has all the
 * addresses of its network (RFC 6177 §2).
 */
export function networkOf(address: string): string {
  const [plain = ''] = address.split('%', 1); // a zone names an interface of this machine
  if (!isIPv6(plain)) return plain;
  const [head = '', tail] = plain.split('::');
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const zeros = Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0');
  const all = tail === undefined ? left : [...left, ...zeros, ...right];
  return `${all
    .slice(0, 4)
    .map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}

/** Groups of 16 bits; IPv4 notation at the end stands for two, which no /64 reaches. */
function groups(text: string): string[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => (group.includes('.') ? ['0', '0'] : [group]));
}
