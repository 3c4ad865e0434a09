import { connect, type Socket } from 'node:net';
import { requestSource } from './requests.ts';
import type { LoadSpec } from './spec.ts';
import type { Window } from './window.ts';

/** An event of the bench's upstream carries the moment it was sent, in milliseconds since the epoch. */
const EVENT = /data: (\d+\.\d+)\n/g;

/** Connections that ask once and then receive events; the latency is that from upstream to client. */
export function receiveStreams(spec: LoadSpec, window: Window): () => Promise<void> {
  const next = requestSource(spec, 1);
  const sockets: Socket[] = [];
  for (let i = 0; i < spec.connections; i++) {
    const { path, headers } = next();
    const socket = connect({ port: spec.port, host: '127.0.0.1' });
    sockets.push(socket);
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${spec.port}\r\n${lines.join('')}\r\n`);
    socket.on('data', (chunk) => {
      const now = performance.timeOrigin + performance.now();
      for (const [event, sentAt] of chunk.toString('latin1').matchAll(EVENT)) {
        window.answered(now - Number(sentAt), event.length);
      }
    });
    socket.on('error', () => window.failed());
  }
  return async () => {
    for (const socket of sockets) socket.destroy();
  };
}
