import cluster, { type Worker } from 'node:cluster';
import { isToPrimary } from './messages.ts';

/**
 * The first worker, started before anything else is loaded: it loads its own part meanwhile. Whether it may serve
 * is decided by the configuration it has to ask for.
 */
export class FirstWorker {
  readonly worker: Worker;
  /** Whether it asked for its configuration before anybody could answer. */
  asked = false;

  private constructor(worker: Worker) {
    this.worker = worker;
    worker.on('message', (message: unknown) => {
      if (isToPrimary(message) && message.kind === 'snapshot-request') this.asked = true;
    });
  }

  static start(): FirstWorker {
    // The kernel balances: workers accept from one shared socket. Handing each connection over from the primary
    // doubled the CPU time of a request on a connection of its own (/auth/verify as nginx asks it: 242 µs against
    // 100 with one worker, 303 against 153 with two). A socket for each worker (SO_REUSEPORT) was cheaper by
    // another tenth, but what waits in the queue of one that closes, or is stuck, would be lost with it.
    if (process.env.NODE_CLUSTER_SCHED_POLICY === undefined) cluster.schedulingPolicy = cluster.SCHED_NONE;
    return new FirstWorker(cluster.fork());
  }
}
