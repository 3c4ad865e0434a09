import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { type ChainLink, digestOf } from './chain.ts';
import { chainText } from './event-text.ts';
import { readFrames, signedEvent } from './frame.ts';
import { asciiJson } from './json-text.ts';
import { listSegments, segmentPath } from './segments.ts';
import type { AuditSigner } from './signature.ts';

/** Bytes that hold any segment's header. */
const HEADER_ROOM = 1_024;

/** What is read of a segment's header: the chain's state where it begins, and whether promises may follow. */
interface SegmentHeader {
  readonly last: string | null;
  readonly strict: boolean;
}

/** What a predecessor in a slot left behind. */
export interface Legacy {
  /** Digest of its last event; null where none is known. */
  readonly last: string | null;
  /** Texts of promises whose events never came. */
  readonly broken: readonly string[];
}

/** Reads what processes that held a slot before have left in its folder. */
export function legacyOf(folder: string, signer: AuditSigner): Legacy {
  const segments = listSegments(folder).filter(({ size }) => size > 0); // a crash leaves empty ones
  const paths = segments.map(({ number }) => segmentPath(folder, number));
  return {
    last: lastDigest(paths),
    broken: paths.some(mayHoldPromises) ? brokenPromises(paths, signer) : [],
  };
}

/** Whether a segment may hold promises: it was begun in strict mode, or does not tell. */
export function mayHoldPromises(path: string): boolean {
  const descriptor = openSync(path, 'r');
  try {
    const start = Buffer.alloc(HEADER_ROOM);
    const [head] = readFrames(start.subarray(0, readSync(descriptor, start))).records;
    return head?.kind === 'h' ? (headerIn(head.payload)?.strict ?? true) : true;
  } finally {
    closeSync(descriptor);
  }
}

/** The newest segment that can be read tells. */
function lastDigest(paths: readonly string[]): string | null {
  for (const path of paths.toReversed()) {
    const { records } = readFrames(readFileSync(path));
    const event = records.findLast(({ kind }) => kind === 'e');
    const data = event === undefined ? undefined : signedEvent(event.payload)?.data;
    if (data !== undefined) return digestOf(data);
    const head = records.find(({ kind }) => kind === 'h');
    const header = head === undefined ? null : headerIn(head.payload);
    if (header !== null) return header.last;
  }
  return null;
}

/** The record's checksum was right: this gateway wrote it, in this version or another. */
function headerIn(payload: string): SegmentHeader | null {
  const { last, strict } = JSON.parse(payload) as Partial<SegmentHeader>;
  const known = (last === null || typeof last === 'string') && typeof strict === 'boolean';
  return known ? { last, strict } : null;
}

function brokenPromises(paths: readonly string[], signer: AuditSigner): string[] {
  const open = new Map<string, string>();
  for (const path of paths) {
    for (const { kind, payload } of readFrames(readFileSync(path)).records) {
      const record = kind === 'h' ? null : signedEvent(payload);
      if (record === null) continue;
      const id = eventIdOf(record.data);
      if (kind === 'e') open.delete(id);
      else if (signer.verifyIntent(record.data, record.sig)) open.set(id, record.data);
    }
  }
  return [...open.values()];
}

/** The id, which every event's text begins with. */
function eventIdOf(data: string): string {
  return data.slice(EVENT_ID_START, EVENT_ID_START + 36);
}

const EVENT_ID_START = '{"event_id":"'.length;

/** The event that stands for a promise that nobody can keep any more: how the request ended is not known. */
export function textOfPromise(promise: string, link: ChainLink): string {
  const event = JSON.parse(promise) as { reason: string | null; context: object }; // its signature was right
  const context = { ...event.context, outcome: 'unknown', chain: JSON.parse(chainText(link)) };
  return asciiJson({ ...event, reason: event.reason ?? 'incomplete', context });
}
