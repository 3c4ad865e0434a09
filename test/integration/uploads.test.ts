import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { until } from '../setup/until.ts';

const MB = 1_048_576;
const BLOCK = Buffer.alloc(MB, 'ACGT');

let platform: Platform;
let service: Server;
let gateway: Gateway;
let token: string;
/** Requests whose body the service saw to its end. */
let complete = 0;

beforeAll(async () => {
  platform = await startPlatform();
  service = createServer().listen(0, '127.0.0.1');
  await once(service, 'listening');
  const url = `http://127.0.0.1:${(service.address() as AddressInfo).port}`; // listening on TCP
  gateway = await Gateway.start({
    ...platform.env,
    LIMS_URL: url,
    RAG_URL: url,
    MAX_BODY: String(4096 * MB),
    ROUTE_TIMEOUT: '1',
    DRAIN_TIMEOUT: '0',
    // IAM shares this process with both ends of the transfers: it may take its time to answer.
    REVOCATION_BOUND: '60',
    IAM_TIMEOUT: '60',
    POLICY_TIMEOUT: '60',
  });
  token = await platform.iam.issue(USERS.scientist);
});
afterAll(async () => {
  await gateway.stop();
  service.closeAllConnections();
  service.close();
  await platform.close();
});
beforeEach(() => {
  complete = 0;
  service.removeAllListeners('request').removeAllListeners('checkContinue');
  service.on('request', (request, response) => {
    if (request.headers['x-total'] !== undefined) {
      pour(Number(request.headers['x-total']), response);
      return;
    }
    let bytes = 0;
    request.on('data', (chunk) => {
      bytes += chunk.length;
    });
    request.on('end', () => {
      complete++;
      response.end(JSON.stringify({ bytes, trailers: request.rawTrailers, headers: request.headers }));
    });
  });
});

function open(headers: Record<string, string>, method = 'PUT', route = 'lims') {
  const message = httpRequest(`${gateway.url}/api/${route}/file`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...headers },
  });
  message.on('error', () => {}); // a cut connection shows in what did not come
  return message;
}

async function read(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response) text += chunk;
  return text;
}

/** Answers with `total` bytes. */
function pour(total: number, response: ServerResponse): void {
  response.writeHead(200, { 'content-length': total });
  let sent = 0;
  const more = () => {
    while (sent < total) {
      sent += MB;
      if (!response.write(BLOCK)) return;
    }
    response.end();
  };
  response.on('drain', more);
  more();
}

// Large transfers go by the route whose answers may take minutes: a loaded machine needs no other patience.

/** Sends `total` bytes; gives what the service counted. */
async function upload(total: number, headers: Record<string, string>): Promise<number> {
  const message = open(headers, 'PUT', 'rag');
  const answered = once(message, 'response');
  let early = false;
  const over = answered.then(() => {
    early = true;
  });
  for (let sent = 0; sent < total && !early; sent += MB) {
    if (!message.write(BLOCK)) await Promise.race([once(message, 'drain'), over]);
  }
  message.end();
  const [response] = await answered;
  const text = await read(response);
  return JSON.parse(text).bytes ?? text;
}

/** Gives the number of bytes that came. */
async function download(total: number): Promise<number> {
  const message = open({ 'x-total': String(total) }, 'GET', 'rag').end();
  const [response] = await once(message, 'response');
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await once(response, 'end');
  return bytes;
}

/** Resident memory of the gateway's one worker. Bytes. */
function memory(): number {
  const pid = /"workerPid":(\d+)/.exec(gateway.output)?.[1];
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

/** How far memory rose above `before` at most while `work` was done. */
async function growth(before: number, work: Promise<unknown>): Promise<number> {
  let highest = before;
  const timer = setInterval(() => {
    highest = Math.max(highest, memory());
  }, 20);
  await work.finally(() => clearInterval(timer));
  return highest - before;
}

describe('Expect: 100-continue', () => {
  test('the service’s 100 lets the body come', async () => {
    let asked = 0;
    service.on('checkContinue', (request, response) => {
      asked++;
      response.writeContinue();
      service.emit('request', request, response);
    });
    const message = open({ expect: '100-continue', 'content-length': '5' });
    message.flushHeaders();
    await once(message, 'continue');
    message.end('hello');
    const [response] = await once(message, 'response');
    expect(JSON.parse(await read(response))).toMatchObject({
      bytes: 5,
      headers: { expect: '100-continue', 'content-length': '5' },
    });
    expect(asked).toBe(1);
  });

  test.each([
    ['of declared length', { 'content-length': '500000000' }],
    ['of unknown length', { 'transfer-encoding': 'chunked' }],
  ])('the service’s refusal comes before a body %s is sent', async (_name, framing) => {
    let bytes = 0;
    service.on('checkContinue', (request, response) => {
      request.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      response.writeHead(403, { 'x-why': 'full' }).end('no room');
    });
    const message = open({ expect: '100-continue', ...framing });
    let continued = false;
    message.on('continue', () => {
      continued = true;
    });
    message.flushHeaders();
    const [response] = await once(message, 'response');
    expect([response.statusCode, response.headers['x-why'], await read(response)]).toEqual([
      403,
      'full',
      'no room',
    ]);
    message.destroy();
    expect([continued, bytes]).toEqual([false, 0]);
  });

  test('a service that does not know of it gets the body after a while', async () => {
    const deaf = createTcpServer((socket) => {
      let text = '';
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        text += chunk;
        if (text.endsWith('hello')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      });
    }).listen(0, '127.0.0.1');
    await once(deaf, 'listening');
    const { port } = deaf.address() as AddressInfo; // listening on TCP
    const other = await Gateway.start({ ...platform.env, LIMS_URL: `http://127.0.0.1:${port}` });
    const message = httpRequest(`${other.url}/api/lims/file`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, expect: '100-continue', 'content-length': '5' },
    });
    message.flushHeaders();
    await once(message, 'continue');
    message.end('hello');
    const [response] = await once(message, 'response');
    expect(await read(response)).toBe('ok');
    await other.stop();
    deaf.close();
  });

  test('nobody is asked for a body that is refused anyway', async () => {
    service.on('checkContinue', () => complete++);
    const message = open({ expect: '100-continue', 'content-length': String(5000 * MB) });
    message.flushHeaders();
    const [response] = await once(message, 'response');
    expect([response.statusCode, complete]).toEqual([413, 0]);
    message.destroy();
  });
});

describe('the limit of a body', () => {
  let small: Gateway;
  beforeAll(async () => {
    const { port } = service.address() as AddressInfo; // listening on TCP
    small = await Gateway.start({
      ...platform.env,
      LIMS_URL: `http://127.0.0.1:${port}`,
      MAX_BODY: '1000',
      DRAIN_TIMEOUT: '0',
    });
  });
  afterAll(() => small.stop());

  const put = (headers: Record<string, string>, bytes: number, credential = token) =>
    ask(`${small.url}/api/lims/file`, {
      method: 'PUT',
      token: credential,
      headers,
      body: Buffer.alloc(bytes),
    });
  const chunked = { 'transfer-encoding': 'chunked', 'content-length': [] as unknown as string };

  test('is exact', async () => {
    expect((await put({}, 1000)).json.bytes).toBe(1000);
    expect((await put(chunked, 1000)).json.bytes).toBe(1000);
  });

  test('a declared length beyond it is refused before the body comes', async () => {
    const answer = await put({}, 1001);
    expect([answer.status, answer.json]).toEqual([
      413,
      { error: 'payload too large', reason: 'body_too_large', trace_id: expect.any(String) },
    ]);
    expect((await put({}, 1001, 'nobody')).status).toBe(401);
  });

  test('an undeclared one at the byte, and the service never sees the request end', async () => {
    let cut = false;
    service.prependListener('request', (request) => {
      request.on('close', () => {
        cut = !request.complete;
      });
    });
    const answer = await put(chunked, 1001);
    expect([answer.status, answer.json.reason]).toEqual([413, 'body_too_large']);
    await until(() => cut);
    expect(complete).toBe(0);
  });
});

describe('bodies of unknown length', () => {
  test('trailers arrive, those only the gateway may set do not', async () => {
    const message = open({ trailer: 'X-Checksum, X-User-Id' }, 'POST');
    message.write('data');
    message.addTrailers({
      'X-Checksum': 'abc',
      'X-User-Id': '1000',
      x_user_id: '1000',
      Authorization: 'Bearer x',
    });
    message.end();
    const [response] = await once(message, 'response');
    const seen = JSON.parse(await read(response));
    expect(seen.trailers).toEqual(['X-Checksum', 'abc']);
    expect(seen.headers).toMatchObject({ trailer: 'X-Checksum', 'transfer-encoding': 'chunked' });
  });

  test('an early answer reaches a client that is still sending', async () => {
    service.removeAllListeners('request');
    service.on('request', (_request, response) => {
      response.writeHead(507, { 'content-length': 9 }).end('disk full');
    });
    const message = open({ 'transfer-encoding': 'chunked' });
    message.write(BLOCK);
    const [response] = await once(message, 'response');
    expect([response.statusCode, await read(response)]).toEqual([507, 'disk full']);
    message.destroy();
  });

  test('a client that breaks off never completes the request', async () => {
    let begun = false;
    let cut = false;
    service.prependListener('request', (request) => {
      request.once('data', () => {
        begun = true;
      });
      request.on('close', () => {
        cut = true;
      });
    });
    const message = open({ 'transfer-encoding': 'chunked' });
    message.write('begin');
    await until(() => begun);
    message.destroy();
    await until(() => cut);
    expect(complete).toBe(0);
    // The client's fault is not the service's.
    expect(await gateway.metrics()).not.toMatch(/upstream_errors_total\{service="lims",kind="reset"\}/);
  });

  test('an answer while the body comes, each at its own pace', async () => {
    service.removeAllListeners('request');
    service.on('request', (request, response) => request.pipe(response));
    const message = open({ 'transfer-encoding': 'chunked' }, 'POST');
    message.write('one');
    const [response] = await once(message, 'response');
    const pieces: string[] = [];
    response.setEncoding('utf8').on('data', (piece: string) => pieces.push(piece));
    await until(() => pieces.join('') === 'one');
    message.end('two');
    await once(response, 'end');
    expect(pieces.join('')).toBe('onetwo');
  });

  test('a service that stops reading is given up after its timeout', async () => {
    service.removeAllListeners('request');
    service.on('request', (request) => request.pause());
    const message = open({ 'transfer-encoding': 'chunked' });
    message.on('drain', () => message.write(BLOCK));
    message.write(BLOCK);
    const [response] = await once(message, 'response');
    expect(response.statusCode).toBe(504);
    message.destroy();
  });
});

test('ranges pass', async () => {
  service.removeAllListeners('request');
  service.on('request', (request, response) => {
    expect(request.headers.range).toBe('bytes=2-4');
    response.writeHead(206, { 'content-range': 'bytes 2-4/10', 'content-length': 3 }).end('CDE');
  });
  const answer = await ask(`${gateway.url}/api/lims/file`, { token, headers: { range: 'bytes=2-4' } });
  expect([answer.status, answer.headers['content-range'], answer.text]).toEqual([206, 'bytes 2-4/10', 'CDE']);
});

describe('memory stays flat', () => {
  test('256 MB up and down', { timeout: 120_000 }, async () => {
    const total = 256 * MB;
    // What the process takes for itself when it does something for the first time.
    await upload(64 * MB, { 'content-length': String(64 * MB) });
    await download(64 * MB);
    const before = memory();
    const declared = upload(total / 2, { 'content-length': String(total / 2) });
    expect(await growth(before, declared)).toBeLessThan(64 * MB);
    expect(await declared).toBe(total / 2);
    const chunked = upload(total / 2, { 'transfer-encoding': 'chunked' });
    expect(await growth(before, chunked)).toBeLessThan(64 * MB);
    expect(await chunked).toBe(total / 2);
    const down = download(total);
    expect(await growth(before, down)).toBeLessThan(64 * MB);
    expect(await down).toBe(total);
  });

  test('50 at once', { timeout: 120_000 }, async () => {
    const total = 8 * MB;
    const before = memory();
    const all = Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        i % 2 === 0 ? download(total) : upload(total, { 'transfer-encoding': 'chunked' }),
      ),
    );
    // Each direction of each connection may hold a few buffers of 64 kB, never a share of what passes.
    expect(await growth(before, all)).toBeLessThan(128 * MB);
    expect(new Set(await all)).toEqual(new Set([total]));
  });
});
