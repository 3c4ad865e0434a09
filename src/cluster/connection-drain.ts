import type { Socket } from 'node:net';
import { setImmediate, setTimeout } from 'node:timers/promises';

const POLL = 50;

/** Without another word, a connection idle for so long is taken to have no request on its way. Milliseconds. */
const IDLE = 1_000;

/** The open connections of a server, as they come and go. */
interface OpenSockets extends Iterable<Socket> {
  readonly size: number;
}

interface Observation {
  bytes: number;
  /** When something happened on the connection last. Milliseconds of the monotonic clock. */
  since: number;
}

/**
 * Waits for the connections of a server that accepts no more. One with an exchange closes by itself after the
 * answer; one that is idle may have a request on its way, and is closed only after a while in which nothing came.
 * What remains is a request sent in the very moment the gateway closes: it is not read, let alone carried out, so
 * that clients may repeat it (RFC 9112 §9.6).
 */
export class ConnectionDrain {
  readonly #sockets: OpenSockets;
  readonly #isBusy: (socket: Socket) => boolean;
  readonly #observed = new WeakMap<Socket, Observation>();
  #idle = IDLE;

  /** @param sockets the open connections, as they come and go @param isBusy whether a request is being answered */
  constructor(sockets: OpenSockets, isBusy: (socket: Socket) => boolean) {
    this.#sockets = sockets;
    this.#isBusy = isBusy;
  }

  /** Sets how many milliseconds a connection may be idle; taken up at once by a drain under way. */
  set idle(milliseconds: number) {
    this.#idle = milliseconds;
  }

  /** Resolves to the number of connections that were cut while busy because `timeout` milliseconds were over. */
  async run(timeout: number): Promise<number> {
    const startedAt = performance.now();
    while (this.#sockets.size > 0 && performance.now() - startedAt < timeout) {
      if (this.#idleOnes(startedAt).length > 0) {
        // Timers run before input: what the kernel holds already must be read before it is called nothing.
        await setImmediate();
        for (const socket of this.#idleOnes(startedAt)) socket.destroy();
      }
      await setTimeout(POLL);
    }
    const cut = [...this.#sockets].filter((socket) => this.#isBusy(socket)).length;
    for (const socket of this.#sockets) socket.destroy();
    return cut;
  }

  #idleOnes(startedAt: number): Socket[] {
    const now = performance.now();
    return [...this.#sockets].filter((socket) => {
      const bytes = socket.bytesRead + socket.bytesWritten;
      const seen = this.#observed.get(socket) ?? { bytes, since: startedAt };
      this.#observed.set(socket, seen);
      if (bytes !== seen.bytes || this.#isBusy(socket)) {
        seen.bytes = bytes;
        seen.since = now;
      }
      return now - seen.since >= this.#idle;
    });
  }
}
