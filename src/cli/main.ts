#!/usr/bin/env node
import { auditCommand } from './audit/command.ts';
import { checkCommand } from './check.ts';
import { type Command, dispatch, explainFailure } from './command.ts';
import { explainCommand } from './explain.ts';
import { startCommand } from './start.ts';
import { tokenCommand } from './token.ts';

const commands: Readonly<Record<string, Command>> = {
  start: startCommand,
  check: checkCommand,
  explain: explainCommand,
  token: tokenCommand,
  audit: auditCommand,
};

const HELP = `Usage: gateway <command> [options]

${Object.entries(commands)
  .map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`)
  .join('\n')}

Every command reads the gateway's environment variables and explains itself with --help.

Examples
  gateway check
  gateway explain GET /api/lims/samples/123
  gateway audit verify`;

// A reader that has seen enough, head for instance, is no fault.
process.stdout.on('error', (error) => {
  if ('code' in error && error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  process.exitCode = await dispatch(commands, HELP, process.argv.slice(2));
} catch (error) {
  process.exitCode = explainFailure(error);
}
