import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { type Connection, Connections, type Tenant } from '../../src/upstream/connections.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { until } from '../setup/until.ts';
import { Upstream } from '../setup/upstream.ts';

describe('connections to a target', () => {
  let platform: Platform;
  let token: string;
  let upstream: Upstream;
  let gateway: Gateway;
  let sockets: Set<Socket>;

  beforeAll(async () => {
    platform = await startPlatform();
    token = await platform.iam.issue(USERS.scientist);
  });
  afterAll(() => platform.close());

  beforeEach(async () => {
    upstream = await Upstream.start();
    sockets = new Set();
    upstream.handler = (request, response) => {
      sockets.add(request.socket);
      response.end('ok');
    };
    gateway = await Gateway.start({ ...platform.env, LIMS_URL: upstream.url, WORKERS: '1' });
  });
  afterEach(async () => {
    await gateway.stop();
    await upstream.close();
  });

  const get = async (method = 'GET') => {
    const { status, text } = await ask(`${gateway.url}/api/lims/x`, { token, method });
    return `${status} ${text}`;
  };

  test('one after another, all requests use one', async () => {
    for (let i = 0; i < 5; i++) expect(await get()).toBe('200 ok');
    expect(sockets.size).toBe(1);
  });

  test('there are as many as requests at once, and then they are used again', async () => {
    const held: ServerResponse[] = [];
    upstream.handler = (request, response) => {
      sockets.add(request.socket);
      held.push(response);
    };
    for (let wave = 0; wave < 2; wave++) {
      const answers = Array.from({ length: 20 }, () => get());
      await until(() => held.length === 20);
      for (const response of held.splice(0)) response.end('late');
      expect(await Promise.all(answers)).toEqual(new Array(20).fill('200 late'));
    }
    expect(sockets.size).toBe(20);
  });

  test('one that broke is not used again', async () => {
    expect(await get()).toBe('200 ok');
    const broken = new Set<Socket>();
    upstream.handler = (request) => {
      broken.add(request.socket);
      request.socket.resetAndDestroy();
    };
    // Nobody can know whether it was seen, so it is not sent again.
    expect(await get('POST')).toMatch(/^502 /);
    expect(broken).toEqual(sockets);
    upstream.handler = (request, response) => {
      sockets.add(request.socket);
      response.end('back');
    };
    for (let i = 0; i < 3; i++) expect(await get()).toBe('200 back');
    expect(sockets.size).toBe(2);
  });

  test('one whose client went away is not used again, and the others are', async () => {
    const held: ServerResponse[] = [];
    upstream.handler = (request, response) => {
      sockets.add(request.socket);
      held.push(response);
    };
    const gone = new AbortController();
    const given = fetch(`${gateway.url}/api/lims/x`, {
      headers: { authorization: `Bearer ${token}` },
      signal: gone.signal,
    });
    await until(() => held.length === 1);
    const other = get();
    await until(() => held.length === 2);
    gone.abort();
    await expect(given).rejects.toThrow();
    await until(() => held[0]?.destroyed === true);
    held[1]?.end('kept');
    expect(await other).toBe('200 kept');
    const next = get();
    await until(() => held.length === 3);
    expect(held[2]?.req.socket).toBe(held[1]?.req.socket);
    held[2]?.end('again');
    expect(await next).toBe('200 again');
  });
});

/** Asks for something on a connection, and parts with it as answers do. */
class Question implements Tenant {
  connection: Connection | null = null;
  readonly #answer = Promise.withResolvers<string>();
  #sent = false;
  #text = '';

  get answer(): Promise<string> {
    return this.#answer.promise;
  }
  onRequestStart(): void {
    this.#sent = true;
  }
  onResponseStart(): void {}
  onResponseData(_controller: unknown, chunk: Buffer): void {
    this.#text += chunk.toString();
  }
  onResponseEnd(): void {
    this.connection?.giveBack();
    this.#answer.resolve(this.#text);
  }
  onResponseError(_controller: unknown, error: Error): void {
    if (this.#sent) this.connection?.discard();
    else this.connection?.giveBack();
    this.connection = null;
    this.#answer.reject(error);
  }
}

describe('the connections themselves', () => {
  let upstream: Upstream;
  let connections: Connections;

  beforeEach(async () => {
    upstream = await Upstream.start();
    connections = new Connections(upstream.url, { pipelining: 1, allowH2: false });
  });
  afterEach(async () => {
    await connections.close();
    await upstream.close();
  });

  const ask = (headers: string[] = []) => {
    const question = new Question();
    const options = { origin: upstream.url, path: '/', method: 'GET', headers } as const;
    connections.send(options, question, 'some-trace\r\nX-More: than one');
    return question.answer;
  };

  test('what cannot be sent does not cost one', async () => {
    const sockets = new Set<Socket>();
    upstream.handler = (request, response) => {
      sockets.add(request.socket);
      response.end(`${request.headers['x-trace-id']} ${request.headers['x-more']}`);
    };
    expect(await ask()).toBe('some-trace than one');
    await expect(ask(['bad name', 'x'])).rejects.toThrow('invalid header key');
    expect(await ask()).toBe('some-trace than one');
    expect(sockets.size).toBe(1);
  });

  test('closing waits for what is under way, and nothing begins any more', async () => {
    const held: ServerResponse[] = [];
    upstream.handler = (_request, response) => held.push(response);
    const last = ask();
    await until(() => held.length === 1);
    const closed = connections.close();
    held[0]?.end('last');
    expect(await last).toBe('last');
    await closed;
    expect(() => ask()).toThrow('closed');
  });
});
