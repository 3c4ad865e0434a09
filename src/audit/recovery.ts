import { readFileSync } from 'node:fs';
import { type ChainLink, digestOf } from './chain.ts';
import { chainText } from './event-text.ts';
import { readFrames, signedEvent } from './frame.ts';
import { asciiJson } from './json-text.ts';
import { listSegments, segmentPath } from './segments.ts';
import type { AuditSigner } from './signature.ts';

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

/** Reads what the process that held a slot before has left in its folder. */
export function legacyOf(folder: string, signer: AuditSigner): Legacy {
  const numbers = listSegments(folder).map(({ number }) => number);
  let last: string | null = null;
  let strict = false;
  // The newest segment tells; one that a crash left empty does not.
  for (const number of numbers.toReversed()) {
    const { header, digest } = stateIn(segmentPath(folder, number));
    if (header === null && digest === null) continue;
    last = digest ?? header?.last ?? null;
    strict = header?.strict ?? true;
    break;
  }
  return { last, broken: strict ? brokenPromises(folder, numbers, signer) : [] };
}

function stateIn(path: string): { header: SegmentHeader | null; digest: string | null } {
  const { records } = readFrames(readFileSync(path));
  const head = records.find(({ kind }) => kind === 'h');
  const event = records.findLast(({ kind }) => kind === 'e');
  const data = event === undefined ? null : (signedEvent(event.payload)?.data ?? null);
  return {
    header: head === undefined ? null : headerIn(head.payload),
    digest: data === null ? null : digestOf(data),
  };
}

/** The record's checksum was right: this gateway wrote it, in this version or another. */
function headerIn(payload: string): SegmentHeader | null {
  const { last, strict } = JSON.parse(payload) as Partial<SegmentHeader>;
  const known = (last === null || typeof last === 'string') && typeof strict === 'boolean';
  return known ? { last, strict } : null;
}

function brokenPromises(folder: string, numbers: readonly number[], signer: AuditSigner): string[] {
  const open = new Map<string, string>();
  for (const number of numbers) {
    for (const { kind, payload } of readFrames(readFileSync(segmentPath(folder, number))).records) {
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
