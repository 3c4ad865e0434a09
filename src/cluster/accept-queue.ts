import { type AddressInfo, connect, type Server, type Socket } from 'node:net';
import { nextTick } from 'node:process';
import { setImmediate } from 'node:timers/promises';

/** A queue that clients fill as fast as it is emptied is given up after so long. Milliseconds. */
const PATIENCE = 2_000;

/** What is used here of node's handles, which have no public way to it; without them the queue is only taken. */
interface Handle {
  /** Sets the backlog of a socket that listens already. */
  listen?(backlog: number): number;
  /** 0 where there is a peer, so once the handshake is over. */
  getpeername?(peer: object): number;
}

/**
 * Takes the connections that the kernel has queued, and lets it queue no more. One that is still queued when the
 * socket closes is reset, with the request that its client may have sent; one that finds no room is refused a moment
 * later, when nobody listens any more.
 *
 * Linux keeps one place even with a backlog of 0. At the end a connection of our own sits in it, until the last
 * process that holds the socket has closed it too: a moment after this one, as the primary does.
 */
export async function emptyAcceptQueue(server: Server): Promise<void> {
  let taken = 0;
  const count = () => taken++;
  server.on('connection', count);
  handleOf(server)?.listen?.(0);
  const deadline = performance.now() + PATIENCE;
  while (performance.now() < deadline) {
    const before = taken;
    await setImmediate(); // one connection is taken in each turn
    if (taken === before && (await fillQueue(server))) break;
  }
  server.off('connection', count);
}

/** Whether the place in the queue is taken by a connection of our own, or cannot be. */
async function fillQueue(server: Server): Promise<boolean> {
  const { address: host, port } = server.address() as AddressInfo;
  const socket = connect({ host, port });
  socket.on('error', () => {}); // refused or reset: it was never to be used
  await new Promise<void>((resolve) => nextTick(resolve)); // it connects in the next tick
  const fault = handleOf(socket)?.getpeername?.({}) ?? 0;
  socket.destroy(); // the place stays taken until somebody accepts or closes
  return fault === 0;
}

function handleOf(owner: Server | Socket): Handle | null | undefined {
  return (owner as { readonly _handle?: Handle | null })._handle;
}
