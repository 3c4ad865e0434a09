import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { nextTick } from 'node:process';
import { expect, test } from 'vitest';
import { emptyAcceptQueue } from '../../../src/cluster/accept-queue.ts';

test('every connection that waits to be accepted is, before the socket closes', async () => {
  const server = createServer((socket) => socket.end('accepted'));
  server.listen({ host: '127.0.0.1', port: 0, backlog: 256 });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const answers = Array.from({ length: 200 }, async () => {
    const chunks = await connect({ host: '127.0.0.1', port }).setEncoding('utf8').toArray();
    return chunks.join('');
  });
  // By now all of them are in the kernel's queue: nothing was accepted in this turn.
  await new Promise<void>((resolve) => nextTick(resolve));
  await emptyAcceptQueue(server);
  server.close();
  expect(new Set(await Promise.all(answers))).toEqual(new Set(['accepted']));
});
