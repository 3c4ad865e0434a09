import type { Server } from 'node:net';
import { setImmediate } from 'node:timers/promises';

/** Turns of the event loop in which the rest of the queue is taken; more than enough. */
const TURNS = 4;

/** The part of a listening handle that is used here. */
interface ListeningHandle {
  listen(backlog: number): number;
}

/**
 * Lets the kernel queue no more connections and takes those it has. A connection that is still in the queue when
 * its socket closes is reset, with the request that its client may have sent already; one that finds no room is
 * refused a moment later, when there is nobody listening any more.
 */
export async function emptyAcceptQueue(server: Server): Promise<void> {
  // Node has no public way to set the backlog of a socket that listens; without this one the queue is only taken.
  const { _handle: handle } = server as Server & { readonly _handle?: ListeningHandle | null };
  if (typeof handle?.listen === 'function') handle.listen(0);
  for (let turn = 0; turn < TURNS; turn++) await setImmediate();
}
