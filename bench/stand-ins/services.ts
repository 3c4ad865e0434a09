import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

/**
 * The services behind every proxy where bodies and streams are measured: `/sink` swallows any body, `/source`
 * gives `bytes`, `/events` sends each listener an event every `every` milliseconds. `PORT` says where it listens.
 */
const BLOCK = Buffer.alloc(65_536, 'a');
const listeners = new Map<number, Set<ServerResponse>>();

createServer({ keepAliveTimeout: 300_000 }, (request, response) => {
  const url = new URL(request.url ?? '/', 'http://upstream');
  if (url.pathname === '/events') return listen(response, Number(url.searchParams.get('every') ?? 10));
  if (url.pathname === '/source') return pour(response, Number(url.searchParams.get('bytes') ?? 1024));
  swallow(request, response);
}).listen({ port: Number(process.env.PORT), host: '127.0.0.1', backlog: 4096 });

function swallow(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  request.on('end', () => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 11 });
    response.end('{"ok":true}');
  });
}

function pour(response: ServerResponse, bytes: number): void {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes });
  let left = bytes;
  const more = () => {
    while (left > 0) {
      const chunk = left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left);
      left -= chunk.length;
      if (!response.write(chunk)) return;
    }
    response.end();
  };
  response.on('drain', more);
  more();
}

/** One timer serves all listeners of an interval: fan-out, not a timer per connection. */
function listen(response: ServerResponse, every: number): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  let together = listeners.get(every);
  if (together === undefined) {
    together = new Set();
    listeners.set(every, together);
    const all = together;
    setInterval(() => {
      const event = `data: ${(performance.timeOrigin + performance.now()).toFixed(3)}\n\n`;
      for (const listener of all) listener.write(event);
    }, every);
  }
  const all = together;
  all.add(response);
  response.on('close', () => all.delete(response));
}
