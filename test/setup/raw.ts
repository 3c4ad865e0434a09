import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Sends bytes as they are and gives all that comes back until the other side closes. */
export async function exchangeRaw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.setEncoding('latin1');
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  socket.on('error', () => {}); // a reset after the answer shows as a closed socket
  await once(socket, 'connect');
  socket.write(bytes, 'latin1');
  await once(socket, 'close');
  return answer;
}

/** A bare connection: what is sent is sent, and all that comes back is kept. */
export class RawConnection {
  readonly socket: Socket;
  /** Latin-1: a character is a byte. */
  received = '';
  /** Whether the other side stopped sending. */
  ended = false;
  closed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (chunk) => {
      this.received += chunk;
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('error', () => {}); // shows as closed
    socket.on('close', () => {
      this.closed = true;
    });
  }

  static async open(port: number): Promise<RawConnection> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const connection = new RawConnection(socket);
    await once(socket, 'connect');
    return connection;
  }

  send(bytes: string): void {
    this.socket.write(bytes, 'latin1');
  }
}
