import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below what Linux gives to outgoing connections: one of those would take the port before it is used. */
const [LOWEST, HIGHEST] = [10_000, 32_768];

/** A port nobody listens on at the moment. */
export async function freePort(): Promise<number> {
  const port = randomInt(LOWEST, HIGHEST);
  const server = createServer();
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening');
  } catch {
    return freePort(); // taken
  }
  server.close();
  await once(server, 'close');
  return port;
}
