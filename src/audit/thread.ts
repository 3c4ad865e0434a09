import { workerData } from 'node:worker_threads';
import { Clerk } from './clerk.ts';
import type { ThreadOptions, ThreadReply, ThreadTask } from './thread-options.ts';

// piscina wraps what the pool was given: [its own data, ours].
const options = (Array.isArray(workerData) ? workerData.at(-1) : workerData) as ThreadOptions;
const clerk = new Clerk(options);

/** The audit thread: a batch of facts, or one of the clerk's other duties. */
export default function work(task: ThreadTask): ThreadReply | Promise<ThreadReply> {
  if (task === 'open') return clerk.open();
  if (task === 'tick') return clerk.tick();
  if (task === 'close') return clerk.close();
  const reply = clerk.take(task);
  Atomics.add(options.taken, 0, 1);
  Atomics.notify(options.taken, 0);
  return reply;
}
