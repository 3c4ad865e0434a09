import { randomBytes } from 'node:crypto';

/** Status codes of a close frame that the gateway sends itself (RFC 6455 §7.4.1). */
export type CloseCode = 1001 | 1008;

/**
 * A close frame (RFC 6455 §5.5.1). Frames of a client are masked (§5.3), those of a server are not.
 * @param reason shown to the peer; at most 123 bytes
 */
export function closeFrame(code: CloseCode, reason: string, masked: boolean): Buffer {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code);
  payload.write(reason, 2);
  if (!masked) return Buffer.concat([Buffer.of(0x88, payload.length), payload]);
  const mask = randomBytes(4);
  for (let i = 0; i < payload.length; i++) payload[i] = (payload[i] as number) ^ (mask[i % 4] as number); // both within
  return Buffer.concat([Buffer.of(0x88, 0x80 | payload.length), mask, payload]);
}
