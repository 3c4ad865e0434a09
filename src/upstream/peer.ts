import type { BlockList } from 'node:net';
import { isIP, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { headerLines } from './header-lines.ts';
import type { RequestHead } from './request-head.ts';

/** How the gateway names itself in `Via` (RFC 9110 §7.6.3). */
const VIA = '1.1 omnibioai-gateway';

/**
 * What is known of the other end of a connection, worked out once per connection.
 * @typeParam E what a request on it is called by whoever handles it
 */
export class Peer<E = unknown> {
  /** The request being handled on this connection. */
  exchange: E | null = null;
  /** Address of the socket; IPv4 in its short form. */
  readonly address: string;
  /** Whether it is a proxy whose `X-Forwarded-*` may be believed. */
  readonly trusted: boolean;
  /** The token of the last request's `Authorization`, so that the next with the same header need not read it again. The token is a part of the header's text. */
  authorization: string | null = null;
  token = '';
  readonly #proxies: BlockList;
  readonly #proto: string;
  #host = '';
  #lines = '';

  constructor(socket: Socket, proxies: BlockList) {
    this.address = plainAddress(socket.remoteAddress ?? '');
    this.#proxies = proxies;
    this.trusted = isTrusted(this.address, proxies);
    this.#proto = socket instanceof TLSSocket ? 'https' : 'http';
  }

  /** The client's address: the nearest hop that is not a trusted proxy (contract §9). */
  clientAddress(head: RequestHead): string {
    if (!this.trusted || head.forwardedFor === '') return this.address;
    const hops = head.forwardedFor.split(',');
    let client = this.address;
    for (let i = hops.length - 1; i >= 0; i--) {
      const hop = plainAddress((hops[i] ?? '').trim());
      if (isIP(hop) === 0) return client; // a trusted proxy passed on nonsense: believe only what was read
      client = hop;
      if (!isTrusted(hop, this.#proxies)) return client;
    }
    return client;
  }

  /**
   * The lines of `X-Forwarded-*`, `Forwarded` and `Via` for the upstream; made anew only where the client
   * names another host than before, or a proxy has its say.
   */
  forwardingLines(head: RequestHead): string {
    const inherits =
      this.trusted && (head.forwardedFor !== '' || head.forwardedProto !== '' || head.forwardedHost !== '');
    if (inherits || head.via !== '') return this.#build(head, inherits);
    if (head.host !== this.#host || this.#lines === '') {
      this.#lines = this.#build(head, false);
      this.#host = head.host;
    }
    return this.#lines;
  }

  /** The origin under which the client sees the gateway, as far as the connection or a trusted proxy tells. */
  publicOrigin(head: RequestHead): string {
    return `${this.#protoOf(head, this.trusted)}://${this.#hostOf(head, this.trusted)}`;
  }

  #protoOf(head: RequestHead, inherits: boolean): string {
    return inherits && /^https?$/.test(head.forwardedProto) ? head.forwardedProto : this.#proto;
  }

  #hostOf(head: RequestHead, inherits: boolean): string {
    return inherits && head.forwardedHost !== '' ? head.forwardedHost : head.host;
  }

  #build(head: RequestHead, inherits: boolean): string {
    const chain =
      inherits && head.forwardedFor !== '' ? `${head.forwardedFor}, ${this.address}` : this.address;
    const proto = this.#protoOf(head, inherits);
    const host = this.#hostOf(head, inherits);
    return headerLines([
      'X-Forwarded-For',
      chain,
      'X-Forwarded-Proto',
      proto,
      'X-Forwarded-Host',
      host,
      'Forwarded',
      forwardedElements(chain, proto, host),
      'Via',
      head.via === '' ? VIA : `${head.via}, ${VIA}`,
    ]);
  }
}

/** The same chain in the notation of RFC 7239; `proto` and `host` belong to the client's own hop. */
function forwardedElements(chain: string, proto: string, host: string): string {
  return chain
    .split(',')
    .map((hop, index) => {
      const address = hop.trim();
      const node = isIP(address) === 6 ? `"[${address}]"` : isIP(address) === 4 ? address : 'unknown';
      return index === 0 ? `for=${node};proto=${proto};host=${quoted(host)}` : `for=${node}`;
    })
    .join(', ');
}

function quoted(value: string): string {
  return `"${value.replace(/["\\]/g, '\\$&')}"`;
}

function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}

/** Verdicts on addresses, by the list that gave them. Emptied when full: clients have any number of addresses. */
const verdicts = new WeakMap<BlockList, Map<string, boolean>>();
const VERDICTS_MAX = 4096;

/** Costs a Map hit for an address seen before; the check itself takes 2 µs, and nginx connects for each question. */
function isTrusted(address: string, proxies: BlockList): boolean {
  let known = verdicts.get(proxies);
  if (known === undefined) {
    known = new Map();
    verdicts.set(proxies, known);
  }
  let trusted = known.get(address);
  if (trusted === undefined) {
    const family = isIP(address);
    trusted = family !== 0 && proxies.check(address, family === 6 ? 'ipv6' : 'ipv4');
    if (known.size >= VERDICTS_MAX) known.clear();
    known.set(address, trusted);
  }
  return trusted;
}
