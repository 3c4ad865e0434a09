import { Clerk } from './clerk.ts';
import type { ThreadReply, ThreadRequest } from './thread-options.ts';

let clerk: Clerk | null = null;

/** The audit thread: a batch of facts, or one of the clerk's other duties. */
export default function work({ options, task }: ThreadRequest): ThreadReply | Promise<ThreadReply> {
  clerk ??= new Clerk(options);
  if (task === 'open') return clerk.open();
  if (task === 'tick') return clerk.tick();
  if (task === 'close') return clerk.close();
  const reply = clerk.take(task);
  Atomics.add(options.taken, 0, 1);
  Atomics.notify(options.taken, 0);
  return reply;
}
