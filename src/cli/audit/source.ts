import { once } from 'node:events';
import { createReadStream, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { segmentEntries, segmentsUnder } from '../../audit/segment-entries.ts';
import type { TrailEntry } from '../../audit/trail-entry.ts';
import type { Config } from '../../config/config.ts';
import { openRedis, type RedisClient } from '../../redis/open-redis.ts';
import { UsageError } from '../command.ts';
import { isWithin, type TimeRange } from './time-range.ts';

/** So many entries are read at once. */
const PAGE = 1_000;

/** Commands of a person at a terminal may take so long. Milliseconds. */
const COMMAND_TIMEOUT = 10_000;

const CONNECT_TIMEOUT = 5_000;

/** Options that all commands that read the trail have in common. */
export const SOURCE_OPTIONS = {
  redis: { type: 'string' },
  stream: { type: 'string', default: 'audit:events' },
  from: { type: 'string' },
  to: { type: 'string' },
} as const;

export const SOURCE_HELP = `  --redis URL     default AUDIT_REDIS, else REDIS_URL
  --stream NAME   default audit:events
  --from, --to    a time (2026-01-31, 2026-01-31T12:00:00Z) or an id of the stream; the end is not included
  FILE            instead of the stream: a spool folder, segments of one, or what "audit export" wrote`;

/** Where the trail is read: a stream, or files. */
export interface TrailSource {
  readonly name: string;
  /** Entries at most; null where it is not known. */
  readonly total: number | null;
  /** Whether nothing was trimmed off the beginning. */
  readonly untrimmed: boolean;
  entries(range: TimeRange): AsyncIterable<TrailEntry>;
  close(): void;
}

/** Opens the files that are named, else the stream, else the spool. */
export async function openSource(
  config: Config,
  options: { readonly redis?: string; readonly stream: string },
  files: readonly string[],
): Promise<TrailSource> {
  const url = options.redis ?? config.auditRedisUrl;
  if (files.length > 0) return fileSource(files);
  if (url === null) return fileSource([join(config.stateDir, 'audit')]);
  return streamSource(await connect(url), options.stream);
}

/** A connection that is made, or a message that says why not. */
export async function connect(url: string): Promise<RedisClient> {
  const client = openRedis(url, 'audit-cli', COMMAND_TIMEOUT);
  let fault = 'no answer';
  client.on('error', (error: Error) => {
    fault = error.message;
  });
  const ready = once(client, 'ready', { signal: AbortSignal.timeout(CONNECT_TIMEOUT) });
  await ready.catch(() => {
    client.disconnect();
    throw new Error(`Redis cannot be reached: ${fault || 'connection refused'}`);
  });
  return client;
}

async function streamSource(client: RedisClient, stream: string): Promise<TrailSource> {
  const total = await client.xlen(stream);
  return {
    name: `stream ${stream}`,
    total,
    // The gateway trims at a million; a stream much shorter still has its first entry.
    untrimmed: total < 900_000,
    async *entries({ from, to }) {
      for (let start = from; ; ) {
        const page = await client.xrange(stream, start, to, 'COUNT', PAGE);
        for (const [id, fields] of page) yield entryOf(id, fields);
        const last = page.at(-1)?.[0];
        if (last === undefined || page.length < PAGE) return;
        start = `(${last}`;
      }
    },
    close: () => client.disconnect(),
  };
}

/** An entry of the stream as Redis gives it. */
export function entryOf(id: string, fields: readonly string[]): TrailEntry {
  const field = (name: string) => {
    for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1];
    return undefined;
  };
  return { id, place: id, data: field('data') ?? null, sig: field('sig') ?? '' };
}

function fileSource(paths: readonly string[]): TrailSource {
  for (const path of paths) {
    if (statSync(path, { throwIfNoEntry: false }) === undefined)
      throw new UsageError(`${path} does not exist`);
  }
  return {
    name: paths.join(', '),
    total: null,
    untrimmed: false,
    async *entries(range) {
      for (const path of paths) {
        for await (const entry of readPath(path)) {
          if (range.from === '-' && range.to === '+') yield entry;
          else if (isWithin(range, timeOf(entry))) yield entry;
        }
      }
    },
    close: () => {},
  };
}

async function* readPath(path: string): AsyncIterable<TrailEntry> {
  if (statSync(path).isDirectory()) {
    for (const segment of segmentsUnder(path)) yield* segmentEntries(segment);
  } else if (path.endsWith('.log')) {
    yield* segmentEntries(path);
  } else {
    yield* exportedEntries(path);
  }
}

/** Lines of `audit export`: the event's text stands in them byte for byte. */
const EXPORTED = /^\{"id":(?:"([\d-]+)"|null),"sig":"([^"]*)","event":(.*)\}$/;

async function* exportedEntries(path: string): AsyncIterable<TrailEntry> {
  let number = 0;
  for await (const line of createInterface({
    input: createReadStream(path, 'utf8'),
    crlfDelay: Number.POSITIVE_INFINITY,
  })) {
    number++;
    if (line === '') continue;
    const parts = EXPORTED.exec(line);
    const place = `${path}:${number}`;
    if (parts === null) yield { id: null, place, data: line, sig: '' };
    else yield { id: parts[1] ?? null, place: parts[1] ?? place, data: parts[3] ?? '', sig: parts[2] ?? '' };
  }
}

/** The line by which an entry is exported and read again. */
export function exportLine({ id, data, sig }: TrailEntry): string {
  return `{"id":${id === null ? 'null' : `"${id}"`},"sig":${JSON.stringify(sig)},"event":${data}}`;
}

/** When an entry belongs into the trail: its arrival, or else the time of its event. */
function timeOf({ id, data }: TrailEntry): number {
  if (id !== null) return Number(id.split('-', 1)[0]);
  return Date.parse(/"timestamp":"([^"]+)"/.exec(data ?? '')?.[1] ?? '');
}
