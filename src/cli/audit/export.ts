import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { AuditSigner } from '../../audit/signature.ts';
import type { TrailEntry } from '../../audit/trail-entry.ts';
import { loadConfig } from '../../config/config.ts';
import { command, complain, OK, UsageError } from '../command.ts';
import { Progress } from './progress.ts';
import { eventOf } from './readable.ts';
import { exportLine, openSource, SOURCE_HELP, SOURCE_OPTIONS } from './source.ts';
import { timeRange } from './time-range.ts';

const HELP = `Usage: gateway audit export [options] [FILE...]

Writes the trail, or a range of it, for archives and spreadsheets.

  --format jsonl|csv   jsonl (default): per line {"id", "sig", "event"}, the event's text byte for byte, so
                       that "audit verify" can check the file; csv: the members people look at, and whether
                       the signature is right where JWT_SECRET is set
  --output FILE        default: standard output
${SOURCE_HELP}

Examples
  gateway audit export --from 2026-01-01 --to 2026-02-01 --output january.jsonl
  gateway audit export --format csv > trail.csv
  gateway audit export state/audit | jq -r .event.action`;

const COLUMNS = [
  'id',
  'signature',
  'timestamp',
  'event_type',
  'user_id',
  'organization_id',
  'action',
  'status_code',
  'decision',
  'reason',
  'client',
  'latency_ms',
  'bytes_out',
  'trace_id',
];

export const exportCommand = command('write JSON lines or CSV', HELP, async (args) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...SOURCE_OPTIONS,
      format: { type: 'string', default: 'jsonl' },
      output: { type: 'string' },
    },
  });
  const { format } = values;
  if (format !== 'jsonl' && format !== 'csv')
    throw new UsageError(`--format: expected jsonl or csv, got "${format}"`);
  const range = timeRange(values);
  const config = loadConfig(process.env);
  const signer = config.jwtSecret === '' ? null : new AuditSigner(config.jwtSecret);
  const source = await openSource(config, values, positionals);
  const output =
    values.output === undefined ? process.stdout : createWriteStream(values.output, { mode: 0o600 });
  const progress = new Progress('entries', source.total);
  let count = 0;
  try {
    if (format === 'csv') output.write(`${COLUMNS.join(',')}\r\n`);
    for await (const entry of source.entries(range)) {
      if (entry.data === null) continue;
      const line = format === 'csv' ? `${csvLine(entry, signer)}\r\n` : `${exportLine(entry)}\n`;
      if (!output.write(line)) await once(output, 'drain');
      progress.advance();
      count++;
    }
  } finally {
    progress.end();
    source.close();
  }
  if (output !== process.stdout) {
    output.end();
    await finished(output);
  }
  complain(`${count} entries`);
  return OK;
});

function csvLine({ id, data, sig }: TrailEntry, signer: AuditSigner | null): string {
  const event = eventOf(data);
  const values: Record<string, unknown> = {
    ...event,
    ...event?.context,
    id,
    signature: signatureOf(data ?? '', sig, signer),
  };
  return COLUMNS.map((name) => csvField(values[name])).join(',');
}

function signatureOf(data: string, sig: string, signer: AuditSigner | null): string {
  if (sig === '') return 'unsigned';
  if (signer === null) return 'unchecked';
  return signer.verify(data, sig) ? 'valid' : 'invalid';
}

/** A field of RFC 4180; what a spreadsheet would take for a formula is marked as text. */
function csvField(value: unknown): string {
  if (value === null || value === undefined) return '';
  const text = String(value);
  const harmless = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
