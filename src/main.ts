import cluster from 'node:cluster';
import { randomBytes } from 'node:crypto';
import { ConfigError, loadConfig } from './config/config.ts';
import { newIdentityKey } from './config/identity-keys.ts';

/** Exit code for a configuration fault (`EX_CONFIG` of sysexits.h). */
const EX_CONFIG = 78;

/**
 * Outside production a missing secret is replaced by a random one for this run, so that nobody is ever
 * tempted to put a known one in its place. Workers inherit it.
 */
function inventMissingSecrets(): string[] {
  if (process.env.NODE_ENV === 'production') return [];
  return ['JWT_SECRET', 'GATEWAY_SECRET']
    .filter((name) => !process.env[name])
    .map((name) => {
      process.env[name] = randomBytes(32).toString('hex');
      return `${name} is not set: a random one is used for this run, and what others sign with theirs is refused`;
    });
}

try {
  if (cluster.isPrimary) {
    const warnings = inventMissingSecrets();
    // Workers inherit it, so that whoever asks one of them for the public key can verify what another signed.
    process.env.IDENTITY_KEY ||= newIdentityKey();
    const config = loadConfig(process.env);
    const { Primary } = await import('./cluster/primary.ts');
    await Primary.start(config, warnings);
  } else {
    const { Worker } = await import('./cluster/worker.ts');
    await Worker.start(loadConfig(process.env));
  }
} catch (error) {
  const faults = error instanceof ConfigError ? error.faults : [`gateway cannot start: ${error}`];
  process.stderr.write(`${faults.join('\n')}\n`);
  process.exit(error instanceof ConfigError ? EX_CONFIG : 1);
}
