import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { type GatewayEnd, Tunnel, type TunnelEnd } from '../../../../src/upstream/websocket/tunnel.ts';
import { until } from '../../../setup/until.ts';

const servers: { close(): void }[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

function portOf(server: Server | WebSocketServer): number {
  return (server.address() as AddressInfo).port; // listening on TCP
}

/** Two connections joined by a tunnel whose handshake is over before it begins. */
async function joined(
  upstreamPort: number,
  idleTimeout = 60_000,
): Promise<{ port: number; tunnels: Tunnel[]; ends: TunnelEnd[] }> {
  const tunnels: Tunnel[] = [];
  const ends: TunnelEnd[] = [];
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ port: upstreamPort, host: '127.0.0.1', allowHalfOpen: true });
    join(client, upstream);
  });
  const join = (client: Socket, upstream: Socket) => {
    // The handshake passes as it is: a request's head and an answer's, each with nothing behind it yet.
    client.once('data', (request) => {
      client.pause();
      upstream.write(request);
      upstream.once('data', (answer) => {
        upstream.pause();
        client.write(answer);
        const tunnel = new Tunnel(client, upstream, {
          frames: true,
          idleTimeout,
          onOver: (end) => ends.push(end),
        });
        tunnels.push(tunnel);
        tunnel.start([]);
      });
    });
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return { port: portOf(server), tunnels, ends };
}

async function echoServer(): Promise<{ server: WebSocketServer; codes: number[] }> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  const codes: number[] = [];
  server.on('connection', (socket) => {
    socket.on('message', (data, binary) => socket.send(data, { binary }));
    socket.on('error', () => codes.push(-1));
    socket.on('close', (code) => codes.push(code));
  });
  await once(server, 'listening');
  servers.push(server);
  return { server, codes };
}

test.each<[GatewayEnd, number]>([
  ['drain', 1001],
  ['idle', 1001],
  ['revoked', 1008],
  ['expired', 1008],
])('%s closes both sides with %i, between frames', async (why, code) => {
  const { server, codes } = await echoServer();
  const { port, tunnels, ends } = await joined(portOf(server));
  const sockets = await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}`);
      await once(socket, 'open');
      const seen = { code: 0, errors: 0, wrong: 0, echoed: 0 };
      // Frames of all lengths are under way in both directions while the end comes.
      const message = (n: number) => Buffer.alloc(1 + ((n * 7919 + i * 104_729) % 150_000), n % 251);
      socket.on('message', (data) => {
        if (!message(seen.echoed).equals(data as Buffer)) seen.wrong++; // binary: a Buffer
        seen.echoed++;
        if (socket.readyState === WebSocket.OPEN) socket.send(message(seen.echoed + 3));
      });
      for (let n = 0; n < 4; n++) socket.send(message(n));
      socket.on('error', () => seen.errors++);
      socket.on('close', (got) => {
        seen.code = got;
      });
      return seen;
    }),
  );
  await until(() => sockets.every(({ echoed }) => echoed > 5));
  for (const tunnel of tunnels) tunnel.end(why);
  await until(() => ends.length === 20);
  await until(() => codes.length === 20 && sockets.every((seen) => seen.code !== 0));
  expect(sockets.map((seen) => [seen.code, seen.errors, seen.wrong])).toEqual(
    sockets.map(() => [code, 0, 0]),
  );
  expect(codes).toEqual(codes.map(() => code));
  expect(ends).toEqual(ends.map(() => why));
});

/** A raw upstream that says what a test wants behind its 101. */
async function rawServer(onSocket: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n');
      onSocket(socket);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return portOf(server);
}

async function rawClient(
  port: number,
): Promise<{ socket: Socket; received: () => Buffer; ended: () => boolean }> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => {});
  socket.write('GET / HTTP/1.1\r\n\r\n');
  await once(socket, 'data');
  const chunks: Buffer[] = [];
  let ended = false;
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('end', () => socket.end());
  socket.on('close', () => {
    ended = true;
  });
  return { socket, received: () => Buffer.concat(chunks), ended: () => ended };
}

test('a frame under way is completed before the close frame, and nothing follows it', async () => {
  let upstream: Socket | undefined;
  const port = await rawServer((socket) => {
    upstream = socket;
  });
  const { port: gatewayPort, tunnels } = await joined(port);
  const { received } = await rawClient(gatewayPort);
  await until(() => tunnels.length === 1);
  const frame = Buffer.concat([Buffer.of(0x82, 10), Buffer.from('0123456789')]);
  upstream?.write(frame.subarray(0, 7));
  await until(() => received().length === 7);
  tunnels[0]?.end('drain');
  upstream?.write(Buffer.concat([frame.subarray(7), Buffer.of(0x81, 1, 0x41)]));
  await until(() => received().length > frame.length);
  const close = Buffer.from('881603e9', 'hex');
  expect(received().subarray(0, frame.length + 4)).toEqual(Buffer.concat([frame, close]));
  expect(received().length).toBe(frame.length + 2 + 0x16);
});

test('a frame that is never completed is cut in the end', async () => {
  const port = await rawServer((socket) =>
    socket.once('data', () => socket.write(Buffer.of(0x82, 10, 1, 2))),
  );
  const { port: gatewayPort, tunnels, ends } = await joined(port);
  const { socket, received, ended } = await rawClient(gatewayPort);
  socket.write(Buffer.of(0x89, 0x80, 0, 0, 0, 0));
  await until(() => received().length === 4);
  tunnels[0]?.end('revoked');
  await until(ended, 3_000);
  expect(received().length).toBe(4);
  await until(() => ends.length === 1);
  expect(ends).toEqual(['revoked']);
});

test('after a revocation nothing of the client reaches the upstream but the end of its frame', async () => {
  const chunks: Buffer[] = [];
  const port = await rawServer((socket) => socket.on('data', (chunk: Buffer) => chunks.push(chunk)));
  const { port: gatewayPort, tunnels } = await joined(port);
  const { socket } = await rawClient(gatewayPort);
  const got = () => Buffer.concat(chunks);
  const frame = Buffer.concat([Buffer.of(0x82, 0x80 | 4, 0, 0, 0, 0), Buffer.from('AAAA')]);
  socket.write(frame.subarray(0, 8));
  await until(() => got().length === 8);
  tunnels[0]?.end('revoked');
  socket.write(Buffer.concat([frame.subarray(8), frame, frame]));
  await until(() => got().length > frame.length);
  expect(got().subarray(0, frame.length + 1)).toEqual(Buffer.concat([frame, Buffer.of(0x88)]));
  expect(got().length).toBe(frame.length + 2 + 4 + 2 + 'token revoked'.length);
});

test('one side may stop sending and still listen', async () => {
  let asked = '';
  const port = await rawServer((socket) => {
    socket.on('data', (chunk) => {
      asked += chunk;
    });
    socket.on('end', () => socket.end(`heard ${asked}`));
  });
  const { port: gatewayPort, ends } = await joined(port);
  const { socket, received, ended } = await rawClient(gatewayPort);
  socket.end('question');
  await until(ended);
  expect(String(received())).toBe('heard question');
  await until(() => ends.length === 1);
  expect(ends).toEqual(['closed']);
});

test('silence for longer than allowed ends the tunnel, a trickle does not', async () => {
  let trickle: NodeJS.Timeout | undefined;
  const port = await rawServer((socket) => {
    trickle = setInterval(() => socket.write(Buffer.of(0x89, 0)), 50);
  });
  const { port: gatewayPort, ends } = await joined(port, 400);
  const { received, ended } = await rawClient(gatewayPort);
  await until(() => received().length > 30);
  expect(ends).toEqual([]);
  clearInterval(trickle);
  await until(() => received().includes('idle for too long'));
  await until(ended);
  expect(ends).toEqual(['idle']);
});
