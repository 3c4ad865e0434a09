import { crc32 } from 'node:zlib';

/** One event as it goes to the stream. */
export interface SignedEvent {
  readonly data: string;
  readonly sig: string;
}

/** Kinds of records: an event, a promise of one, the state of the chain where a segment begins. */
export type RecordKind = 'e' | 'i' | 'h';

/** Kind, length and checksum in hex, each followed by a space. */
export const FRAME_HEAD = 20;
export const LF = 0x0a;

/**
 * One record of a segment: kind, length of the payload and CRC-32 of both in hex, payload, line feed. A line that a
 * person can read and that says itself whether it is whole.
 * @param payload ASCII without line feeds, so that it has as many bytes as characters
 */
export function frame(kind: RecordKind, payload: string): string {
  return `${frameHead(kind, payload)}${payload}\n`;
}

/** The first {@link FRAME_HEAD} bytes of a record whose payload is in one piece or in two. */
export function frameHead(kind: RecordKind, payload: string, rest: string | Buffer = ''): string {
  return `${kind} ${hex8(payload.length + rest.length)} ${checksum(kind, payload, rest)} `;
}

/** A record found in a segment. */
export interface FoundRecord {
  readonly kind: RecordKind;
  readonly payload: string;
  readonly start: number;
  /** Offset of the byte behind it. */
  readonly end: number;
}

/**
 * Reads the records of `bytes` from `start`. What is damaged is skipped up to the next line and counted; a
 * record that is cut off by the end of the bytes is neither given nor counted.
 */
export function readFrames(
  bytes: Buffer,
  start = 0,
): { records: FoundRecord[]; damaged: number; end: number } {
  const records: FoundRecord[] = [];
  let damaged = 0;
  let at = start;
  while (at < bytes.length) {
    const record = recordAt(bytes, at);
    if (record !== null) {
      records.push(record);
      at = record.end;
      continue;
    }
    const lineEnd = bytes.indexOf(LF, at);
    if (lineEnd === -1) break;
    damaged++;
    at = lineEnd + 1;
  }
  return { records, damaged, end: at };
}

function recordAt(bytes: Buffer, at: number): FoundRecord | null {
  const kind = String.fromCharCode(bytes[at] ?? 0);
  if (kind !== 'e' && kind !== 'i' && kind !== 'h') return null;
  const length = Number.parseInt(bytes.toString('latin1', at + 2, at + 10), 16);
  const end = at + FRAME_HEAD + length + 1;
  if (!(end <= bytes.length) || bytes[end - 1] !== LF) return null;
  const payload = bytes.toString('latin1', at + FRAME_HEAD, end - 1);
  return checksum(kind, payload) === bytes.toString('latin1', at + 11, at + 19)
    ? { kind, payload, start: at, end }
    : null;
}

/** Takes the payload of an event's record apart; null where it is none. */
export function signedEvent(payload: string): SignedEvent | null {
  const space = payload.indexOf(' ');
  return space === -1 ? null : { sig: payload.slice(0, space), data: payload.slice(space + 1) };
}

/** The kind is what the checksum begins with. */
function checksum(kind: RecordKind, payload: string, rest: string | Buffer = ''): string {
  return hex8(crc32(rest, crc32(payload, kind.charCodeAt(0))));
}

/** In two halves: V8 writes small integers in hex ten times faster than numbers beyond 31 bits. */
function hex8(value: number): string {
  return hex4(value >>> 16) + hex4(value & 0xffff);
}

function hex4(value: number): string {
  return value.toString(16).padStart(4, '0');
}
