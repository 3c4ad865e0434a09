import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { until } from './until.ts';

/** An answer, taken apart by its framing. */
export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** A client that sends bytes as they are, one character per byte, and keeps all that comes back. */
export class RawClient {
  readonly socket: Socket;
  received = '';
  closed = false;
  /** Whether the first request asked for no body. */
  #head = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('error', () => {}); // a reset shows as closed
    socket.on('close', () => {
      this.closed = true;
    });
    socket.on('data', (chunk) => {
      this.received += chunk;
    });
  }

  /** @param localAddress where to connect from; any address of 127/8 will do */
  static async connect(port: number, localAddress = '127.0.0.1'): Promise<RawClient> {
    const client = new RawClient(connect({ port, host: '127.0.0.1', localAddress }));
    await once(client.socket, 'connect');
    return client;
  }

  send(bytes: string): this {
    if (this.received === '' && bytes.startsWith('HEAD ')) this.#head = true;
    this.socket.write(bytes, 'latin1');
    return this;
  }

  /** Complete final answers so far; throws where anything else stands between them. */
  get answers(): RawAnswer[] {
    const answers: RawAnswer[] = [];
    let rest = this.received;
    for (let end = rest.indexOf('\r\n\r\n'); end !== -1; end = rest.indexOf('\r\n\r\n')) {
      const head = rest.slice(0, end);
      const status = Number(/^HTTP\/1\.1 (\d{3}) [^\r\n]*(?:\r\n|$)/.exec(head)?.[1]);
      if (!status) throw new Error(`no answer: ${JSON.stringify(rest)}`);
      rest = rest.slice(end + 4);
      if (status < 200) continue;
      const bodiless = status === 204 || status === 304 || (this.#head && answers.length === 0);
      const body = bodiless ? { text: '', length: 0 } : bodyOf(head, rest);
      if (body === null) break;
      answers.push({ status, head, body: body.text });
      rest = rest.slice(body.length);
    }
    return answers;
  }

  /** Waits for so many answers, or for the connection's end. */
  async untilAnswers(count: number): Promise<RawAnswer[]> {
    await until(() => this.closed || this.answers.length >= count);
    return this.answers;
  }

  async untilClosed(): Promise<RawAnswer[]> {
    await until(() => this.closed);
    return this.answers;
  }

  close(): void {
    this.socket.destroy();
  }
}

/** The body at the beginning of `rest` and its length in bytes; null where it is not complete. */
function bodyOf(head: string, rest: string): { text: string; length: number } | null {
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
  if (!/\r\ntransfer-encoding: chunked/i.test(head)) {
    return rest.length < length ? null : { text: rest.slice(0, length), length };
  }
  let text = '';
  let at = 0;
  for (;;) {
    const line = /^([\da-f]+)\r\n/i.exec(rest.slice(at, at + 20));
    if (line === null) return null;
    const size = Number.parseInt(line[1] ?? '', 16);
    at += line[0].length;
    if (size === 0) {
      const end = rest.indexOf('\r\n\r\n', at - 2); // behind the trailers, if there are any
      return end === -1 ? null : { text, length: end + 4 };
    }
    if (rest.length < at + size + 2) return null;
    text += rest.slice(at, at + size);
    at += size + 2;
  }
}
