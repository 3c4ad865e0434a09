import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { freePort } from '../setup/free-port.ts';
import { Gateway } from '../setup/gateway.ts';
import { RawConnection } from '../setup/raw.ts';
import { until } from '../setup/until.ts';
import { Upstream } from '../setup/upstream.ts';
import { closing, openSocket, refusedSocket } from '../setup/websocket.ts';

let platform: Platform;
let upstream: Upstream;
let gateway: Gateway;
let token: string;
/** Requests for an upgrade and others that reached the upstream. */
let asked: IncomingMessage[];

beforeAll(async () => {
  platform = await startPlatform();
  upstream = await Upstream.start();
  const routes = join(mkdtempSync(join(tmpdir(), 'routes-')), 'routes.json');
  const row = (service: string, more = {}) => ({
    service,
    prefix: `/api/${service}/`,
    target: upstream.url,
    ...more,
  });
  const nobody = `http://127.0.0.1:${await freePort()}`;
  writeFileSync(
    routes,
    JSON.stringify({
      routes: [
        row('lims'),
        row('tes', { permission: 'workflow.execute', compute: true }),
        row('terminal', { upgrades: ['Echo/1'] }),
        row('plain', { upgrades: [] }),
        row('absent', { target: nobody }),
      ],
    }),
  );
  gateway = await Gateway.start({
    ...platform.env,
    ROUTES_FILE: routes,
    ROUTE_TIMEOUT: '1',
    MAX_SOCKETS_PER_IDENTITY: '3',
  });
  token = await platform.iam.issue(USERS.scientist);
});
afterAll(async () => {
  await gateway.stop();
  await upstream.close();
  await platform.close();
});
beforeEach(async () => {
  upstream.cutUpgraded();
  await until(async () => /gateway_open_upgrades 0/.test(await gateway.metrics()));
  asked = [];
  upstream.handler = (request, response) => {
    asked.push(request);
    response.end('plain answer');
  };
  upstream.accept((socket, request) => {
    asked.push(request);
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  });
});

function accept(request: IncomingMessage): string {
  const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  return createHash('sha1').update(key).digest('base64');
}

function switching(request: IncomingMessage, more = ''): string {
  return (
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${accept(request)}\r\n${more}\r\n`
  );
}

function upgradeHead(path: string, more = '', protocol = 'websocket', method = 'GET'): string {
  return (
    `${method} ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nConnection: Upgrade\r\n` +
    `Upgrade: ${protocol}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`
  );
}

describe('what is allowed', () => {
  test('messages pass both ways, compressed as both ends agreed', async () => {
    const client = await openSocket(gateway, '/api/lims/ws?x=1', token, { perMessageDeflate: true });
    expect(client.extensions).toMatch(/permessage-deflate/);
    for (const message of ['', 'text', 'A'.repeat(200_000), Buffer.alloc(300_000, 'ACGT')]) {
      client.send(message);
      const [data, binary] = await once(client, 'message');
      expect([Buffer.from(message).equals(data), binary]).toEqual([true, typeof message !== 'string']);
    }
    client.ping('are you there');
    expect(String((await once(client, 'pong'))[0])).toBe('are you there');
    client.close(4001, 'done');
    expect(await closing(client)).toEqual({ code: 4001, reason: 'done' });
  });

  test('the upstream sees the judged request with headers cleaned as for any other', async () => {
    const trace = '11111111-2222-4333-8444-555555555555';
    const client = await openSocket(gateway, '/api/lims/ws?x=1', token, {
      protocols: ['a', 'b'],
      headers: {
        'X-User-Id': '999',
        x_user_id: '999',
        'X-Trace-Id': trace,
        Cookie: 'kept=1',
        'Proxy-Authorization': 'x',
      },
    });
    const headers = asked[0]?.headers;
    expect([asked[0]?.url, client.protocol]).toEqual(['/ws?x=1', 'a']);
    expect(headers).toMatchObject({
      'x-user-id': '1',
      'x-token-type': 'user',
      'x-trace-id': trace,
      'x-internal-service': 'gateway',
      'x-service-token': expect.stringMatching(/^eyJ/),
      authorization: `Bearer ${token}`,
      cookie: 'kept=1',
      connection: 'upgrade',
      upgrade: 'websocket',
      'sec-websocket-protocol': 'a,b',
      host: upstream.url.slice('http://'.length),
    });
    for (const name of ['x_user_id', 'proxy-authorization']) expect(headers).not.toHaveProperty(name);
    client.terminate();
  });

  test('the 101 carries the trace id and what the upstream said, without headers of the hop', async () => {
    upstream.upgradeHandler = (request, socket) =>
      socket.write(switching(request, 'X-Own: 1\r\nKeep-Alive: timeout=5\r\nX-Service-Token: leaked\r\n'));
    const raw = await RawConnection.open(gateway.port);
    raw.send(upgradeHead('/api/lims/ws'));
    await until(() => raw.received.includes('\r\n\r\n'));
    expect(raw.received).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
    expect(raw.received).toMatch(/^x-trace-id: [0-9a-f-]{36}\r$/im);
    expect(raw.received).toMatch(/^connection: upgrade\r$/im);
    expect(raw.received).toMatch(/^upgrade: websocket\r$/im);
    expect(raw.received).toMatch(/^x-own: 1\r$/im);
    expect(raw.received).not.toMatch(/keep-alive|x-service-token|transfer-encoding|content-length/i);
    raw.socket.destroy();
  });

  test('bytes that come with either head are not lost', async () => {
    let heard = '';
    upstream.upgradeHandler = (request, socket, head) => {
      heard = head.toString('latin1');
      socket.on('data', (chunk: Buffer) => {
        heard += chunk.toString('latin1');
      });
      socket.write(`${switching(request)}\x81\x05first`, 'latin1');
    };
    const raw = await RawConnection.open(gateway.port);
    raw.send(`${upgradeHead('/api/lims/ws')}\x81\x85\0\0\0\0early`);
    await until(() => raw.received.endsWith('\r\n\r\n\x81\x05first'));
    await until(() => heard === '\x81\x85\0\0\0\0early');
    raw.socket.destroy();
  });

  test('another protocol passes where its route allows it, and each side may end on its own', async () => {
    upstream.upgradeHandler = (_request, socket) => {
      let heard = '';
      socket.write('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: Echo/1\r\n\r\nwelcome ');
      socket.on('data', (chunk) => {
        heard += chunk;
      });
      socket.on('end', () => socket.end(`heard ${heard}`));
    };
    const raw = await RawConnection.open(gateway.port);
    raw.send(upgradeHead('/api/terminal/x', '', 'h2c, echo/1', 'POST'));
    await until(() => raw.received.endsWith('welcome '));
    expect(raw.received).toMatch(/^Upgrade: echo\/1\r$/im);
    raw.socket.end('question');
    await until(() => raw.closed);
    expect(raw.received).toMatch(/welcome heard question$/);
  });

  test('a slow reader slows its sender, in both directions', async () => {
    const sent = { up: 0, down: 0 };
    const flood = (socket: Duplex, direction: 'up' | 'down') => {
      const chunk = Buffer.alloc(65_536);
      const more = () => {
        do sent[direction] += chunk.length;
        while (socket.write(chunk));
      };
      socket.on('drain', more);
      more();
    };
    upstream.upgradeHandler = (_request, socket) => {
      socket.write('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: Echo/1\r\n\r\n');
      socket.pause();
      flood(socket, 'down');
    };
    const raw = await RawConnection.open(gateway.port);
    raw.send(upgradeHead('/api/terminal/x', '', 'echo/1'));
    await until(() => raw.received.includes('\r\n\r\n'));
    raw.socket.pause();
    flood(raw.socket, 'up');
    let before = -1;
    await until(async () => {
      const settled = before === sent.up + sent.down;
      before = sent.up + sent.down;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return settled;
    });
    expect(sent.up).toBeLessThan(32_000_000);
    expect(sent.down).toBeLessThan(32_000_000);
    raw.socket.destroy();
  });
});

describe('what is refused', () => {
  test.each<[string, string, () => string | null, number, object]>([
    ['no token', '/api/lims/ws', () => null, 401, { error: 'missing token' }],
    ['a bad token', '/api/lims/ws', () => 'x.y.z', 401, { error: 'invalid token' }],
    [
      'an ambiguous path',
      '/api/lims//ws',
      () => token,
      400,
      { error: 'bad request', reason: 'ambiguous_path' },
    ],
    ['no service', '/api/absent/ws', () => token, 502, { error: 'bad gateway', reason: 'refused' }],
  ])('%s is answered over HTTP and the upstream not asked', async (_name, path, bearer, status, body) => {
    const answer = await refusedSocket(gateway, path, bearer());
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.text)).toEqual({ ...body, trace_id: answer.headers['x-trace-id'] });
    expect(asked).toEqual([]);
    if (status === 401) expect(answer.headers['www-authenticate']).toMatch(/^Bearer/);
  });

  test('policy and quota are asked as for any request', async () => {
    const viewer = await platform.iam.issue(USERS.viewer);
    const denied = await refusedSocket(gateway, '/api/tes/ws', viewer);
    expect([denied.status, JSON.parse(denied.text)]).toMatchObject([
      403,
      { error: 'forbidden', reason: 'missing permission workflow.execute' },
    ]);
    platform.hpc.service.fault = () => ({ status: 500, body: '{}' });
    const quota = await refusedSocket(gateway, '/api/tes/ws', token);
    platform.hpc.service.fault = () => undefined;
    expect([quota.status, JSON.parse(quota.text)]).toMatchObject([403, { error: 'HPC quota exceeded' }]);
    expect(asked).toEqual([]);
  });

  test('the upstream’s refusal reaches the client as it is', async () => {
    const body = 'no notebook here '.repeat(20_000);
    upstream.upgradeHandler = (_request, socket) =>
      socket.end(
        `HTTP/1.1 418 Short And Stout\r\nX-Why: tea\r\nSet-Cookie: a=1\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
    const answer = await refusedSocket(gateway, '/api/lims/ws', token);
    expect([answer.status, answer.headers['x-why'], answer.headers['set-cookie'], answer.text]).toEqual([
      418,
      'tea',
      ['a=1'],
      body,
    ]);
    expect(answer.headers['x-trace-id']).toMatch(/^[0-9a-f-]{36}$/);
  });

  test.each([
    [
      'a wrong accept value',
      'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n',
      502,
    ],
    ['another protocol', 'Upgrade: h2c\r\nConnection: Upgrade\r\n', 502],
    ['no Upgrade header', '', 502],
  ])('a 101 with %s is no tunnel', async (_name, headers, status) => {
    let upstreamClosed = false;
    upstream.upgradeHandler = (_request, socket) => {
      socket.on('close', () => {
        upstreamClosed = true;
      });
      socket.on('end', () => socket.end());
      socket.resume();
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headers}\r\n`);
    };
    const answer = await refusedSocket(gateway, '/api/lims/ws', token);
    expect([answer.status, JSON.parse(answer.text)]).toMatchObject([status, { error: 'bad gateway' }]);
    await until(() => upstreamClosed);
  });

  test('a 101 that nobody asked for is no answer', async () => {
    upstream.handler = (request) =>
      request.socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n');
    expect((await ask(`${gateway.url}/api/lims/x`, { token })).status).toBe(502);
  });

  test('an upstream that does not answer is given up', async () => {
    upstream.upgradeHandler = () => {};
    const answer = await refusedSocket(gateway, '/api/lims/ws', token);
    expect([answer.status, JSON.parse(answer.text)]).toMatchObject([504, { error: 'gateway timeout' }]);
  });

  test('a caller holds no more sockets than allowed, and gets places back', async () => {
    const open = await Promise.all([1, 2, 3].map(() => openSocket(gateway, '/api/lims/ws', token)));
    const answer = await refusedSocket(gateway, '/api/lims/ws', token);
    expect([answer.status, JSON.parse(answer.text)]).toEqual([
      429,
      { error: 'too many requests', reason: 'too_many_sockets', trace_id: answer.headers['x-trace-id'] },
    ]);
    const other = await openSocket(gateway, '/api/lims/ws', await platform.iam.issue(USERS.gpu));
    for (const socket of [other, ...open]) socket.close();
    await Promise.all([other, ...open].map((socket) => closing(socket)));
    await until(async () => /gateway_open_upgrades 0/.test(await gateway.metrics()));
    // Refused and broken handshakes hold no place either.
    upstream.upgradeHandler = (_request, socket) =>
      socket.end('HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n');
    for (let i = 0; i < 4; i++)
      expect((await refusedSocket(gateway, '/api/lims/ws', token)).status).toBe(403);
  });
});

describe('what is no upgrade', () => {
  test.each([
    ['h2c', '/api/lims/x', 'h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__\r\n'],
    ['a protocol the route does not allow', '/api/plain/x', 'websocket', ''],
    ['an empty list', '/api/lims/x', '', ''],
  ])(
    '%s stays HTTP, and its request is the last one of its connection',
    async (_name, path, protocol, more) => {
      let release = () => {};
      upstream.handler = (request, response) => {
        asked.push(request);
        release = () => response.end('plain answer');
      };
      const raw = await RawConnection.open(gateway.port);
      const next = `GET ${path}next HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`;
      raw.send(upgradeHead(path, more, protocol) + next.slice(0, 20));
      await until(() => asked.length === 1);
      // Bytes that would be read as a request by whoever lost the ones before.
      raw.send(next + next);
      raw.send('no request at all\r\n\r\n');
      await until(() => raw.socket.writableLength === 0);
      release();
      await until(() => raw.ended);
      expect(raw.received).toMatch(/^HTTP\/1\.1 200 .*^connection: close\r$.*plain answer$/ims);
      expect(raw.received.match(/HTTP\/1\.1/g)).toHaveLength(1);
      expect(asked.map(({ url }) => url)).toEqual(['/x']);
      expect(asked[0]?.headers).not.toHaveProperty('upgrade');
      expect(asked[0]?.headers).not.toHaveProperty('http2-settings');
      raw.socket.destroy();
    },
  );

  test('an upload that offers h2c arrives whole', async () => {
    upstream.handler = async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      response.end(`got ${body}`);
    };
    const raw = await RawConnection.open(gateway.port);
    raw.send(`${upgradeHead('/api/lims/x', 'Content-Length: 5\r\n', 'h2c', 'POST')}hello`);
    await until(() => raw.received.endsWith('got hello'));
    raw.socket.destroy();
  });

  test.each(['Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n'])(
    'an upgrade with a body (%s) is refused',
    async (framing) => {
      const raw = await RawConnection.open(gateway.port);
      raw.send(`${upgradeHead('/api/lims/ws', framing)}5\r\nhello\r\n0\r\n\r\n`);
      await until(() => raw.received.includes('upgrade_with_body'));
      expect(raw.received).toMatch(/^HTTP\/1\.1 400 /);
      expect(asked).toEqual([]);
      raw.socket.destroy();
    },
  );

  test('what follows a refused upgrade is neither a tunnel nor a request', async () => {
    const requests: string[] = [];
    let upstreamBytes = '';
    upstream.upgradeHandler = (request, socket, head) => {
      requests.push(request.url ?? '');
      upstreamBytes += head;
      socket.on('data', (chunk) => {
        upstreamBytes += chunk;
      });
      // Stays open, as a server that was fooled would.
      socket.write('HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno');
    };
    upstream.handler = (request, response) => {
      requests.push(request.url ?? '');
      response.end();
    };
    const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n';
    const raw = await RawConnection.open(gateway.port);
    raw.send(upgradeHead('/api/lims/ws', 'Sec-WebSocket-Version: 777\r\n') + smuggled);
    await until(() => raw.ended);
    raw.socket.end(smuggled);
    await until(() => raw.closed);
    expect(raw.received).toMatch(/^HTTP\/1\.1 426 .*^Connection: close\r$.*no$/ims);
    expect(raw.received.match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect([requests, upstreamBytes]).toEqual([['/ws'], '']);
  });

  test('an upgrade behind an unanswered request does not overtake it', async () => {
    let release = () => {};
    upstream.handler = (request, response) => {
      asked.push(request);
      if (request.url === '/slow') release = () => response.end('slow answer');
      else response.end('plain answer');
    };
    const raw = await RawConnection.open(gateway.port);
    raw.send(`GET /api/lims/slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    raw.send(upgradeHead('/api/lims/ws'));
    await until(() => asked.length === 1 && raw.socket.writableLength === 0);
    release();
    await until(() => raw.ended);
    expect(raw.received).toMatch(/^HTTP\/1\.1 200 .*slow answer.*HTTP\/1\.1 200 .*plain answer$/s);
    raw.socket.destroy();
  });
});

describe('ends', () => {
  test('a client that goes away cancels the handshake and the tunnel at once', async () => {
    let handshakes = 0;
    let closed = 0;
    upstream.upgradeHandler = (_request, socket) => {
      handshakes++;
      socket.on('close', () => closed++);
      socket.on('end', () => socket.end());
      socket.resume();
    };
    const early = await RawConnection.open(gateway.port);
    early.send(upgradeHead('/api/lims/ws'));
    await until(() => handshakes === 1);
    early.socket.destroy();
    await until(() => closed === 1, 900); // ROUTE_TIMEOUT would end it a little later

    let gone = false;
    upstream.accept((socket) =>
      socket.on('close', () => {
        gone = true;
      }),
    );
    const client = await openSocket(gateway, '/api/lims/ws', token);
    client.terminate();
    await until(() => gone, 1_000);
  });

  test('an upstream that breaks ends the client’s socket', async () => {
    upstream.accept((socket) => socket.on('message', () => socket.terminate()));
    const client = await openSocket(gateway, '/api/lims/ws', token);
    client.send('x');
    expect((await closing(client)).code).toBe(1006);
  });
});
