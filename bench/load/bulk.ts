import { connect } from 'node:net';
import { requestSource } from './requests.ts';
import type { LoadSpec } from './spec.ts';
import type { Window } from './window.ts';

const CHUNK = Buffer.alloc(65_536, 'a');

/**
 * Large bodies on kept connections, sent with back-pressure and thrown away as they arrive. Not by autocannon,
 * which holds every body as one string.
 */
export function sendBulk(spec: LoadSpec, window: Window): () => Promise<void> {
  let running = true;
  const lanes = Array.from({ length: spec.connections }, (_, index) =>
    lane(spec, window, index + 1, () => running),
  );
  return async () => {
    running = false;
    await Promise.all(lanes);
  };
}

/** One connection: one request after another until told to stop. */
function lane(spec: LoadSpec, window: Window, seed: number, goOn: () => boolean): Promise<void> {
  const { path, headers } = requestSource(spec, seed)();
  const head = Buffer.from(
    `${spec.method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${spec.port}\r\n` +
      (spec.bodySize > 0 ? `Content-Length: ${spec.bodySize}\r\n` : '') +
      Object.entries(headers)
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join('') +
      '\r\n',
  );
  return new Promise((resolve) => {
    const socket = connect({ port: spec.port, host: '127.0.0.1', noDelay: true });
    let startedAt = 0;
    let toSend = 0;
    let toReceive = -1;
    let received = 0;
    const send = () => {
      while (toSend > 0) {
        const chunk = toSend >= CHUNK.length ? CHUNK : CHUNK.subarray(0, toSend);
        toSend -= chunk.length;
        if (!socket.write(chunk)) return;
      }
    };
    const begin = () => {
      startedAt = performance.now();
      toSend = spec.bodySize;
      toReceive = -1;
      received = 0;
      socket.write(head);
      send();
    };
    const finish = (good: boolean) => {
      if (good) window.answered(performance.now() - startedAt, received + spec.bodySize);
      else window.failed();
      if (goOn() && good) begin();
      else socket.destroy();
    };
    socket.on('drain', send);
    socket.on('data', (chunk) => {
      if (toReceive === -1) {
        const end = chunk.indexOf('\r\n\r\n');
        const text = chunk.toString('latin1', 0, end + 2);
        const length = /content-length: (\d+)\r\n/i.exec(text)?.[1];
        // The bench's own upstream sends heads whole and lengths always.
        if (Number(text.slice(9, 12)) !== spec.expect || length === undefined) return finish(false);
        toReceive = Number(length);
        received = chunk.length - end - 4;
      } else received += chunk.length;
      if (received >= toReceive) finish(true);
    });
    socket.on('error', () => window.failed());
    socket.on('close', () => resolve());
    socket.on('connect', begin);
  });
}
