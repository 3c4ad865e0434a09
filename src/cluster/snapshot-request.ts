import type { Snapshot } from '../config/config-source.ts';
import { isToWorker, type SnapshotRequest } from './messages.ts';

/** Asks the primary for the configuration of this worker. */
export function requestSnapshot(): Promise<Snapshot> {
  return new Promise((resolve) => {
    process.on('message', function take(message) {
      if (!isToWorker(message) || message.kind !== 'snapshot') return;
      process.off('message', take);
      resolve(message.snapshot);
    });
    // Sent before anybody listens, a message is lost; so the worker asks.
    process.send?.({ kind: 'snapshot-request' } satisfies SnapshotRequest);
  });
}
