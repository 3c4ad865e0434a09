import cluster from 'node:cluster';
import { FirstWorker } from './cluster/first-worker.ts';
import { keepCompiled } from './compile-cache.ts';

/** Exit code for a configuration fault (`EX_CONFIG` of sysexits.h). */
const EX_CONFIG = 78;

// Nothing else is loaded yet, so that all of it can come from there. Whoever names the folder in ENV_FILE does without.
if (cluster.isPrimary && process.env.STATE_DIR) keepCompiled(process.env.STATE_DIR);

const firstWorker = cluster.isPrimary ? FirstWorker.start() : null;
try {
  if (firstWorker !== null) {
    const { ConfigSource } = await import('./config/config-source.ts');
    const source = new ConfigSource(process.env);
    const reading = source.read();
    const { Primary } = await import('./cluster/primary.ts');
    await Primary.start(source, reading, firstWorker);
  } else {
    const { requestSnapshot } = await import('./cluster/snapshot-request.ts');
    const { openSnapshot } = await import('./config/config-source.ts');
    const { Worker } = await import('./cluster/worker.ts');
    await Worker.start(openSnapshot(await requestSnapshot()));
  }
} catch (error) {
  firstWorker?.worker.process.kill('SIGKILL');
  const isConfigError = error instanceof Error && error.name === 'ConfigError';
  process.stderr.write(isConfigError ? `${error.message}\n` : `gateway cannot start: ${error}\n`);
  process.exit(isConfigError ? EX_CONFIG : 1);
}
