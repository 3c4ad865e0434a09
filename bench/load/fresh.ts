import { connect } from 'node:net';
import { requestSource } from './requests.ts';
import type { LoadSpec } from './spec.ts';
import type { Window } from './window.ts';

/**
 * A new connection for every request, in HTTP/1.0 with `Connection: close`: byte for byte what nginx sends for
 * `auth_request` unless told otherwise. Not by autocannon, which does not count answers on connections it renews.
 */
export function sendOnFresh(spec: LoadSpec, window: Window): () => Promise<void> {
  let running = true;
  let open = 0;
  let seed = 1;
  const lane = () => {
    const next = requestSource(spec, seed++);
    const { path, headers } = next();
    const request =
      `${spec.method} ${path} HTTP/1.0\r\nHost: 127.0.0.1:${spec.port}\r\nConnection: close\r\n` +
      Object.entries(headers)
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join('') +
      '\r\n';
    const again = () => {
      if (!running) return;
      open++;
      const startedAt = performance.now();
      let bytes = 0;
      let status = 0;
      const socket = connect({ port: spec.port, host: '127.0.0.1', noDelay: true });
      socket.write(request);
      socket.on('data', (chunk) => {
        if (bytes === 0) status = Number(chunk.toString('latin1', 9, 12));
        bytes += chunk.length;
      });
      socket.on('error', () => {
        status = 0;
      });
      socket.on('close', () => {
        open--;
        if (status === spec.expect) window.answered(performance.now() - startedAt, bytes);
        else if (running) window.failed();
        again();
      });
    };
    again();
  };
  for (let i = 0; i < spec.connections; i++) lane();
  return async () => {
    running = false;
    while (open > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  };
}
