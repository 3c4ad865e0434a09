import { z } from 'zod';

const shown = z.object({
  timestamp: z.string().catch(''),
  event_type: z.string().catch(''),
  user_id: z.string().nullable().catch(null),
  organization_id: z.string().nullable().catch(null),
  action: z.string().catch(''),
  decision: z.string().nullable().catch(null),
  reason: z.string().nullable().catch(null),
  trace_id: z.string().nullable().catch(null),
  status_code: z.number().nullable().catch(null),
  latency_ms: z.number().nullable().catch(null),
  context: z
    .object({ client: z.string().catch(''), bytes_out: z.number().nullable().catch(null) })
    .catch({ client: '', bytes_out: null }),
});

type Shown = z.infer<typeof shown>;

/** The members of an event that people look at; null where the text is no event. */
export function eventOf(data: string | null): Shown | null {
  try {
    return shown.safeParse(JSON.parse(data ?? '')).data ?? null;
  } catch {
    return null;
  }
}

/** One line for a terminal. */
export function readableLine(data: string | null): string {
  const event = eventOf(data);
  if (event === null) return printable(data ?? 'an entry without data');
  const who = `${event.user_id ?? '-'}@${event.organization_id ?? '-'}`;
  const parts = [
    event.timestamp.replace(/000\+00:00$/, 'Z'),
    String(event.status_code ?? '-'),
    event.decision ?? '-',
    event.action,
    who,
    event.context.client,
    `${event.latency_ms ?? '-'}ms`,
    `${event.context.bytes_out ?? '-'}B`,
    event.event_type === 'request' ? '' : event.event_type,
    event.reason ?? '',
    event.trace_id ?? '',
  ];
  return printable(parts.filter((part) => part !== '').join('  '));
}

/** A path may hold bytes that a terminal would obey. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}
