import { ConfigError } from '../config/config.ts';

/** A subcommand of the command line. */
export interface Command {
  /** One line for the list of commands. */
  readonly summary: string;
  /** Gives the exit code. Knows `--help`. */
  run(args: readonly string[]): Promise<number>;
}

/** A command that prints its help for `--help` and does its work otherwise. */
export function command(summary: string, help: string, run: (args: string[]) => Promise<number>): Command {
  return {
    summary,
    run: async (args) => {
      if (!args.includes('--help') && !args.includes('-h')) return run([...args]);
      print(help);
      return OK;
    },
  };
}

/** A mistake of whoever typed the command; ends with its message and exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Exit code of a command that did what it was asked for and found nothing wrong. */
export const OK = 0;
export const FAILED = 1;
const USAGE = 2;
/** A configuration fault (`EX_CONFIG` of sysexits.h). */
const BAD_CONFIG = 78;

/** A line of output. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** A line for whoever is watching, kept out of the output. */
export function complain(text: string): void {
  process.stderr.write(`${text}\n`);
}

/**
 * Runs one of `commands` by its name.
 * @param help printed without a command or for `--help`
 */
export async function dispatch(
  commands: Readonly<Record<string, Command>>,
  help: string,
  args: readonly string[],
): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    print(help);
    return name === undefined ? USAGE : OK;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    complain(`unknown command "${name}"; there are: ${Object.keys(commands).join(', ')}`);
    return USAGE;
  }
  return command.run(rest);
}

/** What a failed command tells whoever typed it. */
export function explainFailure(error: unknown): number {
  if (error instanceof ConfigError) {
    for (const fault of error.faults) complain(fault);
    return BAD_CONFIG;
  }
  const isUsage =
    error instanceof UsageError ||
    (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'));
  complain(error instanceof Error ? error.message : String(error));
  if (isUsage) complain('try --help');
  return isUsage ? USAGE : FAILED;
}
