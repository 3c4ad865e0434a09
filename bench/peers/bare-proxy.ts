import { createServer, type ServerResponse } from 'node:http';
import { type Dispatcher, Pool } from 'undici';

/**
 * Our limit: the least a proxy on `node:http` and undici can do. No token, no policy, no audit, no trace id, no
 * header rules beyond dropping `Host` and `Connection`. Written as fast as we know how: `dispatch` with a handler
 * class, flat header lists, head and first chunk in one write.
 */
const origin = process.env.UPSTREAM ?? '';
const pool = new Pool(origin, { connections: null, pipelining: 1, allowH2: false });

class Answer implements Dispatcher.DispatchHandler {
  readonly #client: ServerResponse;
  #remaining = Number.NaN;

  constructor(client: ServerResponse) {
    this.#client = client;
  }

  onRequestStart(): void {}

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return;
    const flat: string[] = [];
    for (const name in headers) {
      if (name === 'connection' || name === 'keep-alive' || name === 'transfer-encoding') continue;
      const value = headers[name];
      if (typeof value === 'string') flat.push(name, value);
      else if (value !== undefined) for (const one of value) flat.push(name, one);
    }
    this.#remaining = Number(headers['content-length'] ?? Number.NaN);
    this.#client.writeHead(status, flat);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#remaining -= chunk.length;
    if (this.#remaining === 0) this.#client.end(chunk);
    else if (!this.#client.write(chunk)) {
      controller.pause();
      this.#client.once('drain', () => controller.resume());
    }
  }

  onResponseEnd(): void {
    this.#client.end();
  }

  onResponseError(): void {
    if (this.#client.headersSent) this.#client.destroy();
    else this.#client.writeHead(502).end();
  }
}

createServer({ keepAliveTimeout: 75_000 }, (request, response) => {
  const { rawHeaders, headers } = request;
  const passed: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    if (name.length === 4 && name.toLowerCase() === 'host') continue;
    if (name.length === 10 && name.toLowerCase() === 'connection') continue;
    if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') continue;
    passed.push(name, rawHeaders[i + 1] ?? '');
  }
  const hasBody = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
  pool.dispatch(
    {
      origin,
      path: request.url ?? '/',
      method: (request.method ?? 'GET') as 'GET', // whatever the parser let through
      headers: passed,
      body: hasBody ? request : null,
    },
    new Answer(response),
  );
}).listen({ port: Number(process.env.PORT), host: '127.0.0.1', backlog: 4096 });
