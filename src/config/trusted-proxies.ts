import { BlockList, isIP } from 'node:net';

/** Turns a list of addresses and CIDR blocks into a matcher; unreadable parts go to `faults`. */
export function trustedProxies(list: string | null, faults: string[]): BlockList {
  const blocks = new BlockList();
  for (const part of (list ?? '').split(',')) {
    const entry = part.trim();
    if (entry === '') continue;
    const slash = entry.indexOf('/');
    const address = slash === -1 ? entry : entry.slice(0, slash);
    const family = isIP(address);
    const most = family === 6 ? 128 : 32;
    const width = slash === -1 ? most : Number(entry.slice(slash + 1) || 'none');
    if (family === 0 || !Number.isInteger(width) || width < 0 || width > most) {
      faults.push(`TRUSTED_PROXIES: expected addresses or CIDR blocks separated by commas, got "${entry}"`);
      continue;
    }
    blocks.addSubnet(address, width, family === 6 ? 'ipv6' : 'ipv4');
  }
  return blocks;
}
