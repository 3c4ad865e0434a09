import cluster from 'node:cluster';
import { FirstWorker } from './cluster/first-worker.ts';

/** Exit code for a configuration fault (`EX_CONFIG` of sysexits.h). */
const EX_CONFIG = 78;

const firstWorker = cluster.isPrimary ? FirstWorker.start() : null;
try {
  if (firstWorker !== null) {
    const { ConfigSource } = await import('./config/config-source.ts');
    const source = new ConfigSource(process.env);
    const reading = source.read();
    const { Primary } = await import('./cluster/primary.ts');
    await Primary.start(source, reading, firstWorker);
  } else {
    const { AuditThread } = await import('./audit/audit-thread.ts');
    const auditThread = new AuditThread();
    const { requestSnapshot } = await import('./cluster/snapshot-request.ts');
    const { openSnapshot } = await import('./config/config-source.ts');
    const { Worker } = await import('./cluster/worker.ts');
    const { tuneCollection } = await import('./cluster/garbage-collection.ts');
    tuneCollection();
    await Worker.start(openSnapshot(await requestSnapshot()), auditThread);
  }
} catch (error) {
  firstWorker?.worker.process.kill('SIGKILL');
  const isConfigError = error instanceof Error && error.name === 'ConfigError';
  process.stderr.write(isConfigError ? `${error.message}\n` : `gateway cannot start: ${error}\n`);
  process.exit(isConfigError ? EX_CONFIG : 1);
}
