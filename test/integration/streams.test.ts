import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { Gateway } from '../setup/gateway.ts';
import { RawConnection } from '../setup/raw.ts';
import { until } from '../setup/until.ts';
import { Upstream } from '../setup/upstream.ts';

/** Both shorter than the streams below last. Milliseconds. */
const ROUTE_TIMEOUT = 600;
const IDLE_TIMEOUT = 900;

let platform: Platform;
let upstream: Upstream;
let gateway: Gateway;
let token: string;

beforeAll(async () => {
  platform = await startPlatform();
  upstream = await Upstream.start();
  gateway = await Gateway.start({
    ...platform.env,
    LIMS_URL: upstream.url,
    ROUTE_TIMEOUT: String(ROUTE_TIMEOUT / 1000),
    STREAM_IDLE_TIMEOUT: String(IDLE_TIMEOUT / 1000),
  });
  token = await platform.iam.issue(USERS.scientist);
});
afterAll(async () => {
  await gateway.stop();
  await upstream.close();
  await platform.close();
});

async function listen(): Promise<RawConnection> {
  const connection = await RawConnection.open(gateway.port);
  connection.send(
    `GET /api/lims/logs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nAccept: text/event-stream\r\n\r\n`,
  );
  return connection;
}

function stream(response: ServerResponse, event: string): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(`data: ${event}\n\n`);
}

test('head and first event leave in one write', async () => {
  upstream.handler = (_request, response) => stream(response, 'first');
  const connection = await listen();
  const [chunk] = await once(connection.socket, 'data');
  expect(chunk).toMatch(/^HTTP\/1\.1 200 .*data: first\n\n/s);
  connection.socket.destroy();
});

test('an event leaves when it was written, and only idleness ends the stream', async () => {
  let write: (event: string) => void = () => {};
  upstream.handler = (_request, response) => {
    stream(response, 'event 0');
    write = (event) => response.write(`data: ${event}\n\n`);
  };
  const connection = await listen();
  const startedAt = Date.now();
  for (let i = 0; Date.now() - startedAt < 2 * (ROUTE_TIMEOUT + IDLE_TIMEOUT); i++) {
    await until(() => connection.received.includes(`data: event ${i}\n\n`));
    await new Promise((resolve) => setTimeout(resolve, IDLE_TIMEOUT / 10));
    write(`event ${i + 1}`);
  }
  expect([connection.ended, connection.closed]).toEqual([false, false]);
  const silentSince = Date.now();
  await until(() => connection.ended || connection.closed);
  expect(Date.now() - silentSince).toBeGreaterThan(IDLE_TIMEOUT / 2);
  connection.socket.destroy();
});

test('a client that goes away ends the service’s stream within a second', async () => {
  let gone = false;
  upstream.handler = (_request, response) => {
    stream(response, 'first');
    response.on('close', () => {
      gone = true;
    });
  };
  const connection = await listen();
  await until(() => connection.received.includes('first'));
  connection.socket.destroy();
  await until(() => gone, 1_000);
});
