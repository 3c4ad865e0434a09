import { type Command, dispatch } from '../command.ts';
import { exportCommand } from './export.ts';
import { replayCommand } from './replay.ts';
import { tailCommand } from './tail.ts';
import { verifyCommand } from './verify.ts';

const commands: Readonly<Record<string, Command>> = {
  tail: tailCommand,
  verify: verifyCommand,
  export: exportCommand,
  replay: replayCommand,
};

const HELP = `Usage: gateway audit <command> [options]

${Object.entries(commands)
  .map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`)
  .join('\n')}

The trail is the stream audit:events of AUDIT_REDIS (or REDIS_URL) or, without Redis, the spool under STATE_DIR.
Nothing here touches the consumer group of the platform's audit service.

Examples
  gateway audit tail
  gateway audit verify --from 2026-01-01
  gateway audit export --format csv --from 2026-01-01 --to 2026-02-01 > january.csv`;

export const auditCommand: Command = {
  summary: 'follow, verify, export and replay the audit trail',
  run: (args) => dispatch(commands, HELP, args),
};
