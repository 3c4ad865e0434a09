import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { freePort } from '../setup/free-port.ts';
import { Gateway } from '../setup/gateway.ts';
import { exchangeRaw } from '../setup/raw.ts';
import { until } from '../setup/until.ts';
import { Upstream } from '../setup/upstream.ts';

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
    RAG_URL: `http://127.0.0.1:${await freePort()}`,
    MODEL_REGISTRY_URL: `${upstream.url}/base`,
    ROUTE_TIMEOUT: '0.5',
    STREAM_IDLE_TIMEOUT: '0.5',
  });
  token = await platform.iam.issue(USERS.scientist);
});
afterAll(async () => {
  await gateway.stop();
  await upstream.close();
  await platform.close();
});
beforeEach(() => {
  upstream.handler = (request, response) => {
    const hash = createHash('sha256');
    request.on('data', (chunk) => hash.update(chunk));
    request.on('end', () => {
      const { method, url, rawHeaders, headers } = request;
      response.end(JSON.stringify({ method, url, rawHeaders, headers, sha256: hash.digest('hex') }));
    });
  };
});

const lims = (path: string) => `${gateway.url}/api/lims${path}`;

describe('requests', () => {
  test.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'REPORT', 'PURGE'])(
    '%s passes',
    async (method) => {
      const answer = await ask(lims('/a?b=c&d=%20'), { token, method });
      expect([answer.status, answer.json.method, answer.json.url]).toEqual([200, method, '/a?b=c&d=%20']);
    },
  );

  test('HEAD passes, with the length and without a body', async () => {
    upstream.handler = (_request, response) => response.writeHead(200, { 'content-length': 5 }).end();
    const answer = await ask(lims('/a'), { token, method: 'HEAD' });
    expect([answer.status, answer.headers['content-length'], answer.text]).toEqual([200, '5', '']);
  });

  test('the prefix alone reaches the service as its root; a base path of the target stays in front', async () => {
    expect((await ask(`${gateway.url}/api/lims`, { token })).json.url).toBe('/');
    expect((await ask(`${gateway.url}/lims?x=1`, { token })).json.url).toBe('/?x=1');
    expect((await ask(`${gateway.url}/api/models/org%2Fname`, { token })).json.url).toBe('/base/org%2Fname');
  });

  test('identity is the gateway’s word only, whatever the client claims', async () => {
    const answer = await ask(lims('/a'), {
      token,
      headers: {
        'X-User-Id': '1000',
        x_user_id: '1000',
        'X-Organization-ID': ['1', '2'],
        'X-Permissions': 'admin',
        'X-Internal-Service': 'iam',
        'X-Forwarded-For': '10.0.0.1',
        'X-Real-IP': '10.0.0.1',
        'X-Custom': ['first', 'second'],
      },
    });
    const headers = answer.json.headers as Record<string, string>;
    expect(headers).toMatchObject({
      'x-user-id': '1',
      'x-organization-id': '10',
      'x-permissions': 'workflow.execute,dataset.read,model.use',
      'x-token-type': 'user',
      'x-internal-service': 'gateway',
      authorization: `Bearer ${token}`,
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': `127.0.0.1:${gateway.port}`,
      forwarded: `for=127.0.0.1;proto=http;host="127.0.0.1:${gateway.port}"`,
      via: '1.1 omnibioai-gateway',
      host: upstream.url.slice('http://'.length),
      'x-custom': 'first, second',
    });
    expect(headers).not.toHaveProperty('x_user_id');
    expect(headers).not.toHaveProperty('x-real-ip');
    expect(headers['x-service-token']).toMatch(/^eyJ/);
  });

  test('a body of any length and framing arrives unchanged', async () => {
    const body = Buffer.alloc(3_000_000, 'ACGTN');
    const sha256 = createHash('sha256').update(body).digest('hex');
    expect((await ask(lims('/a'), { token, body })).json.sha256).toBe(sha256);
    const chunked = await ask(lims('/a'), {
      token,
      body,
      headers: { 'transfer-encoding': 'chunked', 'content-length': [] },
    });
    expect(chunked.json.sha256).toBe(sha256);
    const deleted = await ask(lims('/a'), { token, method: 'DELETE', body: 'x' });
    expect(deleted.json.sha256).toBe(createHash('sha256').update('x').digest('hex'));
  });

  test('Expect: 100-continue is answered only once the request may pass', async () => {
    const head = `POST /api/lims/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\nExpect: 100-continue\r\n`;
    const refused = await exchangeRaw(gateway.port, `${head}\r\n`);
    expect(refused).toMatch(/^HTTP\/1\.1 401 /);
    const passed = await exchangeRaw(gateway.port, `${head}Authorization: Bearer ${token}\r\n\r\nok`);
    expect(passed).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
  });
});

describe('answers', () => {
  test('repeated headers, cookies and the status line’s number come back as they were', async () => {
    upstream.handler = (_request, response) => {
      response.writeHead(207, [
        'Set-Cookie',
        'a=1',
        'Set-Cookie',
        'b=2',
        'X-Many',
        '1',
        'X-Many',
        '2',
        'X-Trace-Id',
        'forged',
      ]);
      response.end('x');
    };
    const answer = await ask(lims('/a'), { token });
    expect([answer.status, answer.headers['set-cookie'], answer.headers['x-many']]).toEqual([
      207,
      ['a=1', 'b=2'],
      '1, 2',
    ]);
    expect(answer.headers['x-trace-id']).not.toContain('forged');
  });

  test.each([204, 304])('%i has no body', async (status) => {
    upstream.handler = (_request, response) => response.writeHead(status).end();
    const answer = await ask(lims('/a'), { token });
    expect([answer.status, answer.text, answer.headers['transfer-encoding']]).toEqual([
      status,
      '',
      undefined,
    ]);
  });

  test('an interim answer is not mistaken for the answer', async () => {
    upstream.handler = (_request, response) => {
      response.writeEarlyHints({ link: '</style.css>; rel=preload' });
      response.writeProcessing();
      response.end('final');
    };
    const answer = await ask(lims('/a'), { token });
    expect([answer.status, answer.text]).toEqual([200, 'final']);
  });

  test('trailers pass', async () => {
    upstream.handler = (_request, response) => {
      response.writeHead(200, { trailer: 'X-Checksum' });
      response.write('data');
      response.addTrailers({ 'X-Checksum': 'abc' });
      response.end();
    };
    expect((await ask(lims('/a'), { token })).trailers).toEqual({ 'x-checksum': 'abc' });
  });

  test('the first event of a stream arrives while the stream is open', async () => {
    upstream.handler = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: 1\n\n');
      // Stays open until the client goes.
    };
    const message = httpRequest(lims('/events'), { headers: { authorization: `Bearer ${token}` } }).end();
    const [response] = await once(message, 'response');
    const [chunk] = await once(response, 'data');
    expect(String(chunk)).toBe('data: 1\n\n');
    message.destroy();
  });

  test('a head without a body yet is not held back', async () => {
    upstream.handler = (_request, response) => response.flushHeaders();
    const message = httpRequest(lims('/head'), { headers: { authorization: `Bearer ${token}` } }).end();
    const [response] = await once(message, 'response');
    expect(response.statusCode).toBe(200);
    message.on('error', () => {});
    message.destroy();
  });

  test('an early answer reaches a client that is still sending', async () => {
    upstream.handler = (_request, response) =>
      response.writeHead(413, { 'content-length': 9 }).end('too large');
    const message = httpRequest(lims('/a'), {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-length': 50_000_000 },
    });
    message.on('error', () => {}); // the connection ends before the body does
    message.write(Buffer.alloc(65_536));
    const [response] = await once(message, 'response');
    expect(response.statusCode).toBe(413);
    const [chunk] = await once(response, 'data');
    expect(String(chunk)).toBe('too large');
    message.destroy();
  });
});

describe('faults', () => {
  test('a refused connection is 502, a silent service 504', async () => {
    const refused = await ask(`${gateway.url}/api/rag/x`, { token });
    expect([refused.status, refused.json]).toEqual([
      502,
      { error: 'bad gateway', reason: 'refused', trace_id: expect.any(String) },
    ]);
    upstream.handler = () => {};
    const silent = await ask(lims('/a'), { token });
    expect([silent.status, silent.json]).toEqual([
      504,
      { error: 'gateway timeout', reason: 'timeout', trace_id: expect.any(String) },
    ]);
  });

  test('a service that breaks before the head is 502', async () => {
    upstream.handler = (request) => request.socket.destroy();
    expect((await ask(lims('/a'), { token, method: 'POST', body: 'x' })).status).toBe(502);
  });

  test('a service that breaks within the answer cuts the client’s connection', async () => {
    upstream.handler = (request, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('half', () => request.socket.destroy());
    };
    await expect(ask(lims('/a'), { token })).rejects.toThrow();
    upstream.handler = (request, response) => {
      response.writeHead(200);
      response.write('half', () => request.socket.destroy());
    };
    await expect(ask(lims('/a'), { token })).rejects.toThrow();
  });

  test('an answer that stalls longer than allowed is cut', async () => {
    upstream.handler = (_request, response) => {
      response.writeHead(200);
      response.write('and then nothing');
    };
    await expect(ask(lims('/a'), { token })).rejects.toThrow();
  });

  test('a client that goes away cancels the service’s work', async () => {
    let cancelled = false;
    let started = false;
    upstream.handler = (_request, response) => {
      started = true;
      response.on('close', () => {
        cancelled = true;
      });
    };
    const message = httpRequest(lims('/slow'), { headers: { authorization: `Bearer ${token}` } }).end();
    message.on('error', () => {});
    await until(() => started);
    message.destroy();
    await until(() => cancelled, 1000);
    await until(async () =>
      /gateway_upstream_errors_total\{service="lims",kind="aborted"\} \d/.test(await gateway.metrics()),
    );
  });
});

describe('memory stays flat', () => {
  test('while a slow client reads a long answer', async () => {
    let sent = 0;
    upstream.handler = (_request, response) => {
      const chunk = Buffer.alloc(65_536);
      const more = () => {
        while (response.write(chunk)) sent += chunk.length;
        sent += chunk.length;
      };
      response.on('drain', more);
      more();
    };
    const socket = connect(gateway.port, '127.0.0.1');
    socket.pause();
    socket.write(`GET /api/lims/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    await until(() => sent > 0);
    let before = -1;
    await until(async () => {
      const settled = before === sent;
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return settled;
    });
    // What fits into sockets' buffers on the way, not what the service would like to send.
    expect(sent).toBeLessThan(32_000_000);
    socket.destroy();
  });
});

describe('what is no acceptable request', () => {
  const bad = (reason: string) => ({ error: 'bad request', reason, trace_id: expect.any(String) });

  test.each([
    '/api/lims/../tes/x',
    '/api/lims/%2e%2e/tes/x',
    '/api/lims//x',
    '/api/lims/a%2Fb',
    '/api/lims/a%5Cb',
    '/api/lims/%00',
    '/api/lims/%zz',
    '/nowhere/%2f',
  ])('%s is ambiguous', async (path) => {
    const answer = await ask(gateway.url + path, { token });
    expect([answer.status, answer.json]).toEqual([400, bad('ambiguous_path')]);
    expect(answer.headers['x-trace-id']).toBe(answer.json.trace_id);
  });

  test.each([
    ['absolute-form', 'GET http://other/api/lims/x HTTP/1.1\r\nHost: x\r\n', 400],
    ['asterisk-form', 'OPTIONS * HTTP/1.1\r\nHost: x\r\n', 400],
    ['CONNECT', 'CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n', 405],
    ['TRACE', 'TRACE /api/lims/x HTTP/1.1\r\nHost: x\r\n', 405],
    ['no Host', 'GET /api/lims/x HTTP/1.1\r\n', 400],
    ['two Hosts', 'GET /api/lims/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n', 400],
    ['an unknown expectation', 'GET /api/lims/x HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n', 417],
    ['a broken request line', 'GET\r\n', 400],
    [
      'both framings',
      'POST /api/lims/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n',
      400,
    ],
    ['a folded header', 'GET /api/lims/x HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n folded\r\n', 400],
    ['oversized headers', `GET /api/lims/x HTTP/1.1\r\nHost: a\r\nX-A: ${'a'.repeat(40_000)}\r\n`, 431],
  ])('%s is refused with a trace id', async (_name, head, status) => {
    const answer = await exchangeRaw(
      gateway.port,
      `${head}Connection: close\r\nAuthorization: Bearer ${token}\r\n\r\n`,
    );
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    const [, body = ''] = answer.split('\r\n\r\n');
    const trace = /^x-trace-id: ([0-9a-f-]{36})\r$/im.exec(answer)?.[1];
    expect(JSON.parse(body)).toMatchObject({ error: expect.any(String), trace_id: trace });
  });
});
