import { createHash, createHmac } from 'node:crypto';
import { Redis } from 'ioredis';

/** An entry of the audit stream. */
export interface StreamEntry {
  readonly id: string;
  readonly data: string;
  readonly sig: string;
  readonly event: Record<string, unknown> & {
    readonly event_id: string;
    readonly trace_id: string;
    readonly context: Record<string, unknown>;
  };
}

/** All entries of the stream of a server. */
export async function auditEvents(redisUrl: string): Promise<StreamEntry[]> {
  const redis = new Redis(redisUrl);
  try {
    return (await redis.xrange('audit:events', '-', '+')).map(([id, [, data = '', , sig = '']]) => ({
      id,
      data,
      sig,
      event: JSON.parse(data),
    }));
  } finally {
    redis.disconnect();
  }
}

/** Trace ids of all events of the stream of a server. */
export async function arrivedTraceIds(redisUrl: string): Promise<Set<string>> {
  return new Set((await auditEvents(redisUrl)).map(({ event }) => event.trace_id));
}

/** What an event's signature has to be, computed without the gateway's own code. */
export function expectedSignature(data: string, jwtSecret: string): string {
  const key = createHash('sha256').update(`omnibioai-audit-events:${jwtSecret}`).digest();
  return `v1:${createHmac('sha256', key).update(`v1\ngateway\n${data}`).digest('hex')}`;
}

/** Values of the audit metrics by name and label, `events_total.written` for instance. */
export function auditFigures(metrics: string): Record<string, number> {
  const figures: Record<string, number> = {};
  for (const [, name, label, value] of metrics.matchAll(
    /^gateway_audit_(\w+?)(?:\{\w+="([^"]*)"\})? ([\d.e+-]+)$/gm,
  )) {
    figures[label === undefined ? `${name}` : `${name}.${label}`] = Number(value);
  }
  return figures;
}
