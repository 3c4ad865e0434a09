import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { type Config, ConfigError, loadConfig, VARIABLES } from './config.ts';
import { newIdentityKey } from './identity-keys.ts';

/**
 * An environment and the files it names, as they were when they were found good. Workers are started from this
 * rather than looking for themselves: one that is replaced must not meet an edit that nobody has checked.
 */
export interface Snapshot {
  readonly env: Readonly<Record<string, string>>;
  /** Content by path. */
  readonly files: Readonly<Record<string, string>>;
}

/** A configuration with what it was made of and what should be said about it. */
export interface Reading {
  readonly config: Config;
  readonly snapshot: Snapshot;
  readonly warnings: readonly string[];
}

/** What is bound to the primary: sockets it holds, and the folder its workers leave to each other. */
const FIXED = ['HOST', 'PORT', 'ADMIN_HOST', 'ADMIN_PORT', 'STATE_DIR'];

const INVENTED = ['JWT_SECRET', 'GATEWAY_SECRET'];

/** Where the configuration comes from: the process's environment, overridden by the file `ENV_FILE` names. */
export class ConfigSource {
  readonly #base: NodeJS.ProcessEnv;
  readonly #secrets: Record<string, string>;
  readonly #identityKey = newIdentityKey();

  constructor(base: NodeJS.ProcessEnv) {
    this.#base = { ...base };
    this.#secrets = Object.fromEntries(INVENTED.map((name) => [name, randomBytes(32).toString('hex')]));
  }

  /**
   * Reads everything anew.
   * @param before what the gateway runs with; its fixed variables are kept
   * @throws {ConfigError} holding every fault found
   */
  read(before: Snapshot | null = null): Reading {
    const warnings: string[] = [];
    const env = { ...this.#base, ...this.#envFile(warnings) };
    if (before !== null) keepFixed(env, before, warnings);
    if (env.NODE_ENV !== 'production') this.#inventSecrets(env, warnings);
    // Whoever asks one worker for the public key can verify what another one signed.
    env.IDENTITY_KEY ||= this.#identityKey;
    const files: Record<string, string> = {};
    const config = loadConfig(env, (path) => {
      files[path] = readFileSync(path, 'utf8');
      return files[path];
    });
    return { config, warnings, snapshot: { env: onlyVariables(env), files } };
  }

  #envFile(warnings: string[]): NodeJS.Dict<string> {
    const path = this.#base.ENV_FILE;
    if (!path) return {};
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      const why = error instanceof Error && 'code' in error ? error.code : 'unknown error';
      throw new ConfigError([`ENV_FILE: ${path} cannot be read (${why}), expected lines of NAME=value`]);
    }
    // The parser passes over what it cannot read. Such a line may hold anything, so it is not shown.
    const withoutQuoted = text.replace(/=\s*(["'`])[\s\S]*?\1/g, '=');
    if (!withoutQuoted.split(/\r?\n/).every((line) => /^\s*(#.*|(export\s+)?\w+\s*=.*)?$/.test(line))) {
      throw new ConfigError([`ENV_FILE: ${path}: expected lines of NAME=value`]);
    }
    const values = parseEnv(text);
    for (const name of Object.keys(values)) {
      if (!VARIABLES.includes(name)) warnings.push(`ENV_FILE: ${name} is not a variable of the gateway`);
    }
    return values;
  }

  /**
   * Outside production a missing secret is replaced by a random one for this run, so that nobody is ever
   * tempted to put a known one in its place. It stays the same when the configuration is read again.
   */
  #inventSecrets(env: NodeJS.Dict<string>, warnings: string[]): void {
    for (const name of INVENTED) {
      if (env[name]) continue;
      env[name] = this.#secrets[name];
      warnings.push(
        `${name} is not set: a random one is used for this run, and what others sign with theirs is refused`,
      );
    }
  }
}

/** Makes the configuration of a snapshot again, in another process. */
export function openSnapshot({ env, files }: Snapshot): Config {
  return loadConfig(env, (path) => {
    const text = files[path];
    if (text === undefined) throw new Error(`${path} is not part of the snapshot`);
    return text;
  });
}

function keepFixed(env: NodeJS.Dict<string>, before: Snapshot, warnings: string[]): void {
  for (const name of FIXED) {
    if ((env[name] ?? '') === (before.env[name] ?? '')) continue;
    warnings.push(`${name} changes with the next start only`);
    env[name] = before.env[name];
  }
}

function onlyVariables(env: NodeJS.Dict<string>): Record<string, string> {
  return Object.fromEntries(
    VARIABLES.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
  );
}
