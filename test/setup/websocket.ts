import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { type ClientOptions, WebSocket } from 'ws';
import type { Gateway } from './gateway.ts';

function dial(
  gateway: Gateway,
  path: string,
  token: string | null,
  options: ClientOptions & { protocols?: string[] },
) {
  const { protocols = [], ...rest } = options;
  const authorization = token === null ? {} : { authorization: `Bearer ${token}` };
  const headers = { ...authorization, ...rest.headers };
  const scheme = rest.ca === undefined ? 'ws' : 'wss';
  return new WebSocket(`${scheme}://127.0.0.1:${gateway.port}${path}`, protocols, { ...rest, headers });
}

/** Opens a WebSocket through a gateway, over TLS where an authority is given. */
export async function openSocket(
  gateway: Gateway,
  path: string,
  token: string,
  options: ClientOptions & { protocols?: string[] } = {},
): Promise<WebSocket> {
  const socket = dial(gateway, path, token, options);
  await once(socket, 'open');
  return socket;
}

/** Asks for a WebSocket that is expected to be refused, and gives the answer. */
export async function refusedSocket(
  gateway: Gateway,
  path: string,
  token: string | null,
  options: ClientOptions = {},
): Promise<{ status: number; headers: IncomingMessage['headers']; text: string }> {
  const socket = dial(gateway, path, token, options);
  socket.on('error', () => {}); // of the handshake that is given up
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text: Buffer.concat(chunks).toString(),
  };
}

/** Waits for a socket's end. */
export async function closing(socket: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
  return { code, reason: String(reason) };
}
