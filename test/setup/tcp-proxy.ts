import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Stands between two programs and makes their network fail: late, silent, cut or refusing. */
export class TcpProxy {
  readonly #target: number;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #server = createServer((client) => this.#join(client));
  /** Milliseconds that each chunk is held back, both ways. */
  delay = 0;
  /** Whether connections stay open and carry nothing. */
  #silent = false;
  port = 0;

  private constructor(target: number) {
    this.#target = target;
  }

  static async start(target: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    await proxy.listen();
    return proxy;
  }

  async listen(): Promise<void> {
    this.#server.listen(this.port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as AddressInfo).port; // listening on TCP
  }

  /** From now on nothing gets through, on old connections and new ones, and nobody is told. */
  silence(): void {
    this.#silent = true;
  }

  /** New connections work again; old ones stay dead. */
  recover(): void {
    this.#silent = false;
  }

  /** Resets all connections. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(client: Socket): void {
    const server = connect(this.#target, '127.0.0.1');
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    // A connection that was silenced once has lost bytes and must never carry any again.
    let dead = this.#silent;
    const carry = (to: Socket) => (chunk: Buffer) => {
      dead ||= this.#silent;
      if (dead) return;
      if (this.delay > 0) setTimeout(() => to.write(chunk), this.delay);
      else to.write(chunk);
    };
    client.on('data', carry(server));
    server.on('data', carry(client));
    for (const socket of pair) {
      socket.on('error', () => {}); // its close follows
      socket.on('close', () => {
        this.#pairs.delete(pair);
        for (const other of pair) other.destroy();
      });
    }
  }
}
