import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { Gateway, PATIENT } from '../setup/gateway.ts';
import { RawClient } from '../setup/raw-client.ts';
import { until } from '../setup/until.ts';
import { Upstream } from '../setup/upstream.ts';

let platform: Platform;
let upstream: Upstream;
let token: string;
let head: string;

beforeAll(async () => {
  platform = await startPlatform();
  upstream = await Upstream.start();
  token = await platform.iam.issue(USERS.scientist);
  head = `Host: gateway\r\nAuthorization: Bearer ${token}\r\n`;
});
afterAll(async () => {
  await upstream.close();
  await platform.close();
});
afterEach(() => {
  upstream.handler = (_request, response) => response.end();
});

function start(env: Record<string, string>): Promise<Gateway> {
  return Gateway.start({ ...platform.env, ...PATIENT, LIMS_URL: upstream.url, ...env });
}

async function metric(gateway: Gateway, pattern: RegExp): Promise<number> {
  return Number(pattern.exec(await gateway.metrics())?.[1] ?? 0);
}

async function crowd(gateway: Gateway, count: number, address?: string): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  for (let i = 0; i < count; i++) clients.push(await RawClient.connect(gateway.port, address));
  return clients;
}

function leave(clients: readonly RawClient[]): void {
  for (const client of clients) client.close();
}

/** Does `what` every 20 ms until all of `clients` are closed, and proves meanwhile that others are served. */
async function whileServing(
  gateway: Gateway,
  clients: readonly RawClient[],
  what: () => void,
): Promise<void> {
  const timer = setInterval(what, 20);
  try {
    await until(async () => {
      const answer = await ask(`${gateway.url}/api/lims/x`, { token });
      expect(answer.status).toBe(200);
      return clients.every(({ closed }) => closed);
    });
  } finally {
    clearInterval(timer);
  }
}

describe('slow clients', () => {
  let gateway: Gateway;
  beforeAll(async () => {
    gateway = await start({
      HEADERS_TIMEOUT: '1',
      BODY_IDLE_TIMEOUT: '1',
      KEEP_ALIVE_TIMEOUT: '0.2',
      STREAM_IDLE_TIMEOUT: '1',
      MAX_REQUESTS_PER_CONNECTION: '3',
    });
  });
  afterAll(() => gateway.stop());

  test('a head that never ends is answered with 408; others are served meanwhile', async () => {
    const clients = await crowd(gateway, 200);
    for (const client of clients) client.send(`GET /api/lims/x HTTP/1.1\r\n${head}`);
    await whileServing(gateway, clients, () => {
      for (const client of clients) if (!client.closed) client.send('X: y\r\n');
    });
    for (const { received } of clients) expect(received).toMatch(/^HTTP\/1\.1 408 /);
  });

  test('a connection on which nothing comes is closed', async () => {
    const [client] = await crowd(gateway, 1);
    await client?.untilClosed();
    expect(client?.received).toMatch(/^HTTP\/1\.1 408 /);
  });

  test('a body that trickles is answered with 408 and broken off at the service', async () => {
    let begun = 0;
    let brokenOff = 0;
    upstream.handler = (request, response) => {
      if (request.method === 'GET') {
        response.end();
        return;
      }
      begun++;
      request.resume().on('error', () => brokenOff++);
    };
    const clients = await crowd(gateway, 100);
    for (const client of clients)
      client.send(`POST /api/lims/x HTTP/1.1\r\n${head}Content-Length: 100000\r\n\r\n`);
    await whileServing(gateway, clients, () => {
      for (const client of clients) if (!client.closed) client.send('x');
    });
    for (const { received } of clients) expect(received).toMatch(/^HTTP\/1\.1 408 .*"body_timeout"/s);
    await until(() => brokenOff === begun);
    expect(begun).toBe(100);
    expect(await metric(gateway, /connections_cut_total\{reason="slow_body"\} (\d+)/)).toBe(100);
  });

  test('a body that the service does not read yet is not late', async () => {
    upstream.handler = (request, response) => {
      request.pause();
      setTimeout(() => request.resume().on('end', () => response.end('all of it')), 2_500);
    };
    const answer = await ask(`${gateway.url}/api/lims/x`, {
      token,
      method: 'POST',
      body: Buffer.alloc(30_000_000),
    });
    expect([answer.status, answer.text]).toEqual([200, 'all of it']);
  });

  test('an answer that is not taken is broken off, at the service too', async () => {
    let closed = false;
    upstream.handler = (_request, response) => {
      response.on('close', () => {
        closed = true;
      });
      response.write(Buffer.alloc(20_000_000));
    };
    const [client] = await crowd(gateway, 1);
    client?.socket.pause();
    client?.send(`GET /api/lims/x HTTP/1.1\r\n${head}\r\n`);
    await until(() => closed);
    expect(await metric(gateway, /connections_cut_total\{reason="slow_answer"\} (\d+)/)).toBe(1);
    client?.close();
  });

  test('an idle connection is closed, and so is one that has had its share of requests', async () => {
    const [idle, busy] = await crowd(gateway, 2);
    idle?.send(`GET /health HTTP/1.1\r\n${head}\r\n`);
    for (let i = 1; i <= 3; i++) {
      busy?.send(`GET /health HTTP/1.1\r\n${head}\r\n`);
      await busy?.untilAnswers(i);
    }
    await Promise.all([idle?.untilClosed(), busy?.untilClosed()]);
    expect(idle?.answers.map(({ status }) => status)).toEqual([200]);
    expect(busy?.answers.map((answer) => /connection: close/i.test(answer.head))).toEqual([
      false,
      false,
      true,
    ]);
  });
});

describe('connections of one address', () => {
  let gateway: Gateway;
  beforeAll(async () => {
    gateway = await start({ MAX_CONNECTIONS_PER_ADDRESS: '20', TRUSTED_PROXIES: '127.0.0.3' });
  });
  afterAll(() => gateway.stop());

  test('are limited; other addresses and trusted proxies are not hindered', async () => {
    const many = await crowd(gateway, 25, '127.0.0.2');
    await until(() => many.filter(({ closed }) => closed).length === 5);
    const [other] = await crowd(gateway, 1, '127.0.0.4');
    const proxied = await crowd(gateway, 25, '127.0.0.3');
    for (const client of [other, ...proxied]) {
      const answers = await client?.send(`GET /health HTTP/1.1\r\n${head}\r\n`).untilAnswers(1);
      expect(answers?.map(({ status }) => status)).toEqual([200]);
    }
    expect(await metric(gateway, /connections_cut_total\{reason="address_limit"\} (\d+)/)).toBe(5);

    leave(many);
    await until(async () => (await metric(gateway, /gateway_open_connections (\d+)/)) <= 26);
    const again = await crowd(gateway, 20, '127.0.0.2');
    for (const client of again) {
      expect(await client.send(`GET /health HTTP/1.1\r\n${head}\r\n`).untilAnswers(1)).toHaveLength(1);
    }
    leave([...again, ...proxied]);
    other?.close();
  });
});

test('a thousand idle connections cost little and harm nobody', async () => {
  const gateway = await start({});
  const memory = () => metric(gateway, /process_resident_memory_bytes\{worker="1"\} (\d+)/);
  await ask(`${gateway.url}/api/lims/x`, { token });
  const before = await memory();
  const clients = await crowd(gateway, 1_000);
  for (const client of clients) client.send(`GET /health HTTP/1.1\r\n${head}\r\n`);
  for (const client of clients) await client.untilAnswers(1);
  expect((await memory()) - before).toBeLessThan(1_000 * 65_536);
  expect((await ask(`${gateway.url}/api/lims/x`, { token })).status).toBe(200);
  leave(clients);
  await gateway.stop();
});

test('requests beyond what the event loop bears are refused at once, and all are taken again afterwards', async () => {
  const gateway = await start({ MAX_EVENT_LOOP_LAG: '0.2' });
  let worker = Number.NaN;
  await until(() => {
    worker = Number(/"workerPid":(\d+)/.exec(gateway.output)?.[1]);
    return worker > 0; // what it logged may arrive later than that it is ready
  });
  const counted = /refusals_total\{stage="request",reason="overloaded"\} (\d+)/;
  // A loop that is held up again and again, as by more work than it can do.
  let goOn: NodeJS.Timeout | undefined;
  const holdUp = setInterval(() => {
    process.kill(worker, 'SIGSTOP');
    goOn = setTimeout(() => process.kill(worker, 'SIGCONT'), 350);
  }, 430);
  let refused = 0;
  try {
    await until(async () => {
      expect((await ask(`${gateway.url}/health`)).status).toBe(200);
      expect((await ask(`${gateway.url}/auth/verify`, { token })).status).toBe(200);
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => ask(`${gateway.url}/api/lims/x`, { token })),
      );
      for (const { status, headers, json } of answers.filter((answer) => answer.status !== 200)) {
        expect([status, headers['retry-after']]).toEqual([503, '1']);
        expect(json).toEqual({ error: 'overloaded', trace_id: expect.any(String) });
        refused++;
      }
      return refused > 3;
    }, 25_000);
  } finally {
    clearInterval(holdUp);
    clearTimeout(goOn);
    process.kill(worker, 'SIGCONT');
  }
  expect(await metric(gateway, counted)).toBe(refused);
  await until(async () => (await metric(gateway, /\ngateway_load_shed_ratio (\S+)/)) === 0);
  for (let i = 0; i < 20; i++) expect((await ask(`${gateway.url}/api/lims/x`, { token })).status).toBe(200);
  await gateway.stop();
});
