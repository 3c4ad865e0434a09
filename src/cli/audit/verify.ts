import { parseArgs } from 'node:util';
import { AuditSigner } from '../../audit/signature.ts';
import { TrailVerifier, type Verdict } from '../../audit/trail-verifier.ts';
import { loadConfig } from '../../config/config.ts';
import { command, FAILED, OK, print, UsageError } from '../command.ts';
import { Progress } from './progress.ts';
import { openSource, SOURCE_HELP, SOURCE_OPTIONS } from './source.ts';
import { timeRange } from './time-range.ts';

const HELP = `Usage: gateway audit verify [options] [FILE...]

Checks the signature of every event with JWT_SECRET, and whether each worker's chain of events is whole. Events
that arrived twice, or late because the stream was away, are fine and counted. Reported, each with the id of
its entry (or file and line), are:

  forged      the signature is not that of the text
  unsigned    an event of this gateway without a signature
  missing     numbers of a chain are missing
  conflict    two different events have the same number
  broken      an event does not name the one before it
  moved       an event does not stand where it arrived

Exit code 1 when there are any. Entries of other services are counted and not judged. What was removed at the
end of a chain shows once a later event, or the chain of the worker's successor, is in the range.

${SOURCE_HELP}
  --complete      nothing lies before the range: chains have to begin with their first event. Assumed for a
                  whole stream that was never trimmed; --no-complete takes it back
  --json          one JSON object

Examples
  gateway audit verify
  gateway audit verify --from 2026-01-01 --to 2026-02-01
  gateway audit verify --redis redis://archive:6379 --stream audit:events:2025
  gateway audit verify state/audit
  gateway audit verify january.jsonl --json | jq .faults`;

export const verifyCommand = command('check signatures and chains', HELP, async (args) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    allowNegative: true,
    options: {
      ...SOURCE_OPTIONS,
      complete: { type: 'boolean' },
      json: { type: 'boolean', default: false },
    },
  });
  const range = timeRange(values);
  const config = loadConfig(process.env);
  if (config.jwtSecret === '') throw new UsageError('JWT_SECRET is not set, expected that of the gateway');
  const source = await openSource(config, values, positionals);
  const progress = new Progress('entries', range.from === '-' && range.to === '+' ? source.total : null);
  const verifier = new TrailVerifier(new AuditSigner(config.jwtSecret));
  try {
    for await (const entry of source.entries(range)) {
      verifier.add(entry);
      progress.advance();
    }
  } finally {
    progress.end();
    source.close();
  }
  const verdict = verifier.verdict(values.complete ?? (range.from === '-' && source.untrimmed));
  if (values.json) print(JSON.stringify(verdict));
  else printVerdict(verdict, source.name);
  return verdict.faults.length > 0 ? FAILED : OK;
});

function printVerdict(verdict: Verdict, name: string): void {
  for (const { place, kind, message } of verdict.faults) print(`${place}  ${kind}: ${message}`);
  for (const note of verdict.notes) print(`note: ${note}`);
  const { entries, events, repeats, foreign, unchained, chains, faults } = verdict;
  print(
    `${name}: ${entries} entries, ${events} events of this gateway in ${chains.length} chains, ` +
      `${repeats} arrived again, ${unchained} without a chain, ${foreign} of others`,
  );
  print(faults.length === 0 ? 'nothing is missing and nothing was changed' : `${faults.length} faults`);
}
