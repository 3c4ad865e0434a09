import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { segmentEntries, segmentsUnder } from '../../audit/segment-entries.ts';
import type { TrailEntry } from '../../audit/trail-entry.ts';
import { loadConfig } from '../../config/config.ts';
import type { RedisClient } from '../../redis/open-redis.ts';
import { command, OK, print, UsageError } from '../command.ts';
import { readableLine } from './readable.ts';
import { connect, entryOf } from './source.ts';

const HELP = `Usage: gateway audit tail [options]

Prints the last events and then each new one as it arrives, until Ctrl-C. One line per event: time, status,
decision, method and path, user@organisation, client, latency, bytes, reason, trace id.

  --lines N       events to begin with; default 10
  --no-follow     end after these
  --json          the event's JSON, as it is in the trail
  --spool         read the spool under STATE_DIR although there is a stream
  --redis URL     default AUDIT_REDIS, else REDIS_URL; without either, the spool is read
  --stream NAME   default audit:events

The stream is read with a consumer group of its own, which is removed at the end.

Examples
  gateway audit tail
  gateway audit tail --lines 1000 --no-follow | grep denied
  gateway audit tail --json | jq -r 'select(.status_code == 403) | .user_id'`;

/** The spool is looked at so often. Milliseconds. */
const POLL = 200;

/** A read of the stream waits so long for something new. Milliseconds. */
const BLOCK = 1_000;

export const tailCommand = command('print events as they arrive', HELP, async (args) => {
  const { values } = parseArgs({
    args,
    allowNegative: true,
    options: {
      lines: { type: 'string', default: '10' },
      follow: { type: 'boolean', default: true },
      json: { type: 'boolean', default: false },
      spool: { type: 'boolean', default: false },
      redis: { type: 'string' },
      stream: { type: 'string', default: 'audit:events' },
    },
  });
  const lines = Number(values.lines);
  if (!Number.isInteger(lines) || lines < 0) {
    throw new UsageError(`--lines: expected a whole number, got "${values.lines}"`);
  }
  const show = ({ data }: TrailEntry) => print(values.json ? (data ?? 'null') : readableLine(data));
  const ended = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ended.abort());
  const config = loadConfig(process.env);
  const url = values.spool ? null : (values.redis ?? config.auditRedisUrl);
  const stop = values.follow ? ended.signal : AbortSignal.abort();
  if (url === null) await tailSpool(join(config.stateDir, 'audit'), lines, show, stop);
  else await tailStream(await connect(url), values.stream, lines, show, stop);
  return OK;
});

async function tailStream(
  client: RedisClient,
  stream: string,
  lines: number,
  show: (entry: TrailEntry) => void,
  stop: AbortSignal,
): Promise<void> {
  const group = `gateway-audit-tail:${randomUUID()}`;
  try {
    const last = await client.xrevrange(stream, '+', '-', 'COUNT', Math.max(lines, 1));
    for (const [id, fields] of last.slice(0, lines).reverse()) show(entryOf(id, fields));
    if (stop.aborted) return;
    await client.xgroup('CREATE', stream, group, last[0]?.[0] ?? '0', 'MKSTREAM');
    while (!stop.aborted) {
      const found = await client.xreadgroup(
        'GROUP',
        group,
        'tail',
        'COUNT',
        1_000,
        'BLOCK',
        BLOCK,
        'NOACK',
        'STREAMS',
        stream,
        '>',
      );
      for (const [, entries] of (found ?? []) as [string, [string, string[]][]][]) {
        for (const [id, fields] of entries) show(entryOf(id, fields));
      }
    }
  } finally {
    await client.xgroup('DESTROY', stream, group).catch(() => 0); // the connection may be what failed
    client.disconnect();
  }
}

async function tailSpool(
  folder: string,
  lines: number,
  show: (entry: TrailEntry) => void,
  stop: AbortSignal,
): Promise<void> {
  const seen = new Map<string, number>();
  const fresh = () =>
    segmentsUnder(folder).flatMap((path) => {
      const entries = [...segmentEntries(path)];
      const unseen = entries.slice(seen.get(path) ?? 0);
      seen.set(path, entries.length);
      return unseen;
    });
  const byTime = (a: TrailEntry, b: TrailEntry) => startOf(a).localeCompare(startOf(b));
  const first = fresh().sort(byTime);
  for (const entry of first.slice(Math.max(0, first.length - lines))) show(entry);
  while (!stop.aborted) {
    await new Promise((resolve) => setTimeout(resolve, POLL));
    for (const entry of fresh().sort(byTime)) show(entry);
  }
}

function startOf({ data }: TrailEntry): string {
  return /"timestamp":"([^"]+)"/.exec(data ?? '')?.[1] ?? '';
}
