import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { readStrictly, type StrictRequest } from './strict-http.ts';

/** One connection as it arrived. */
interface RecordedConnection {
  bytes: string;
  /** Requests answered so far. */
  answered: number;
  closed: boolean;
}

/** A service that keeps every byte it is sent, and answers with whatever bytes a test wants. */
export class RawUpstream {
  readonly connections: RecordedConnection[] = [];
  readonly #requests: StrictRequest[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => this.#onConnection(socket));
  /** What is sent for each complete request; null: the test does it. */
  answer: (request: StrictRequest, socket: Socket) => string | null = RawUpstream.ok;
  url = '';

  static ok({ method }: StrictRequest): string {
    return `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${method === 'HEAD' ? '' : 'ok'}`;
  }

  static async start(): Promise<RawUpstream> {
    const upstream = new RawUpstream();
    upstream.#server.listen(0, '127.0.0.1');
    await once(upstream.#server, 'listening');
    upstream.url = `http://127.0.0.1:${(upstream.#server.address() as AddressInfo).port}`; // listening on TCP
    return upstream;
  }

  get host(): string {
    return this.url.slice('http://'.length);
  }

  /** Complete requests in the order of their arrival. Throws where a connection holds anything else. */
  get requests(): readonly StrictRequest[] {
    for (const { bytes, closed } of this.connections) {
      const { end } = readStrictly(bytes);
      // A request that the gateway broke off is none, if its connection is closed.
      if (end === 'complete' || (end === 'incomplete' && closed)) continue;
      throw new Error(`${JSON.stringify(end)} in what the gateway sent: ${JSON.stringify(bytes)}`);
    }
    return this.#requests;
  }

  /** Whether every connection is closed or between two requests. */
  get idle(): boolean {
    return this.connections.every(({ bytes, closed }) => closed || readStrictly(bytes).end === 'complete');
  }

  /** Forgets what came so far; to be called while {@link idle}. */
  clear(): void {
    this.#requests.length = 0;
    for (const connection of this.connections) Object.assign(connection, { bytes: '', answered: 0 });
  }

  /** Cuts all connections and forgets what they brought. */
  forget(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.connections.length = 0;
    this.#requests.length = 0;
    this.answer = RawUpstream.ok;
  }

  async close(): Promise<void> {
    this.#server.close();
    this.forget();
    await once(this.#server, 'close');
  }

  #onConnection(socket: Socket): void {
    const connection: RecordedConnection = { bytes: '', answered: 0, closed: false };
    this.connections.push(connection);
    this.#sockets.add(socket);
    socket.setEncoding('latin1');
    socket.on('error', () => {}); // shows as closed
    socket.on('close', () => {
      connection.closed = true;
      this.#sockets.delete(socket);
    });
    socket.on('data', (chunk) => {
      connection.bytes += chunk;
      const { requests } = readStrictly(connection.bytes);
      for (const request of requests.slice(connection.answered)) {
        connection.answered++;
        this.#requests.push(request);
        const answer = this.answer(request, socket);
        if (answer !== null) socket.write(answer, 'latin1');
      }
    });
  }
}
