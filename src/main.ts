import cluster from 'node:cluster';
import { requestSnapshot } from './cluster/snapshot-request.ts';
import { ConfigError } from './config/config.ts';
import { ConfigSource, openSnapshot } from './config/config-source.ts';

/** Exit code for a configuration fault (`EX_CONFIG` of sysexits.h). */
const EX_CONFIG = 78;

try {
  if (cluster.isPrimary) {
    const source = new ConfigSource(process.env);
    const reading = source.read();
    const { Primary } = await import('./cluster/primary.ts');
    await Primary.start(source, reading);
  } else {
    const { Worker } = await import('./cluster/worker.ts');
    await Worker.start(openSnapshot(await requestSnapshot()));
  }
} catch (error) {
  const faults = error instanceof ConfigError ? error.faults : [`gateway cannot start: ${error}`];
  process.stderr.write(`${faults.join('\n')}\n`);
  process.exit(error instanceof ConfigError ? EX_CONFIG : 1);
}
