import { Agent, request } from 'node:http';

/** Sends one token over several connections again and again, and notes when it was accepted last. */
export class Traffic {
  readonly #loops: Promise<void>[];
  #stopped = false;
  /** Answers by status; 0: the connection broke. */
  readonly statuses = new Map<number, number>();
  /** When the last answer with status 200 came. Epoch milliseconds. */
  lastAccepted = 0;

  /**
   * @param options.pause milliseconds between an answer and the next request of a connection
   * @param options.keepAlive false: every request has a connection of its own, as nginx's `auth_request` does it
   */
  constructor(
    url: string,
    token: string,
    connections = 8,
    options: { pause?: number; keepAlive?: boolean } = {},
  ) {
    const { pause = 0, keepAlive = true } = options;
    this.#loops = Array.from({ length: connections }, () => this.#loop(url, token, pause, keepAlive));
  }

  /** Answers of every kind. */
  get total(): number {
    return [...this.statuses.values()].reduce((sum, count) => sum + count, 0);
  }

  count(status: number): number {
    return this.statuses.get(status) ?? 0;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  async #loop(url: string, token: string, pause: number, keepAlive: boolean): Promise<void> {
    const agent = new Agent({ keepAlive, maxSockets: 1 });
    while (!this.#stopped) {
      const status = await get(agent, url, token);
      this.statuses.set(status, this.count(status) + 1);
      if (status === 200) this.lastAccepted = Date.now();
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
    }
    agent.destroy();
  }
}

function get(agent: Agent, url: string, token: string): Promise<number> {
  return new Promise((resolve) => {
    request(url, { agent, headers: { authorization: `Bearer ${token}` } }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
      response.on('error', () => resolve(0));
    })
      .on('error', () => resolve(0))
      .end();
  });
}
