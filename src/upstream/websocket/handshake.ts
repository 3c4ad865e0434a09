import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** Appended to the client's key by a server that speaks WebSocket (RFC 6455 §1.3). */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/**
 * Whether a 101 answers the upgrade that was asked for: the protocol is the one offered, and for WebSocket
 * the server proves that it read this key (RFC 6455 §4.1). Anything else must not become a tunnel.
 */
export function switchesAsAsked(
  protocol: string,
  key: string | undefined,
  answer: Readonly<Record<string, string | string[] | undefined>>,
): boolean {
  if (String(answer.upgrade).toLowerCase() !== protocol.toLowerCase()) return false;
  if (!isWebSocket(protocol)) return true;
  return answer['sec-websocket-accept'] === hash('sha1', `${key}${GUID}`, 'base64');
}

export function isWebSocket(protocol: string): boolean {
  return protocol.toLowerCase() === 'websocket';
}

/**
 * The first protocol of an `Upgrade` header that is allowed, as the client spelt it; null: none is.
 * @param allowed in lower case
 */
export function offeredProtocol(list: string, method: string, allowed: readonly string[]): string | null {
  for (const part of list.split(',')) {
    const protocol = part.trim();
    // A WebSocket is asked for by GET only (RFC 6455 §4.1).
    if (isWebSocket(protocol) && method !== 'GET') continue;
    if (allowed.includes(protocol.toLowerCase())) return protocol;
  }
  return null;
}

/** Whether a request's framing headers announce a body (RFC 9112 §6.3). */
export function announcesBody(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0;
}
