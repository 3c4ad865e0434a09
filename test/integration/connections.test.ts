import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Connections } from '../../src/upstream/connections.ts';
import { until } from '../setup/until.ts';
import { Upstream } from '../setup/upstream.ts';

const OPTIONS = { pipelining: 1, allowH2: false, keepAliveTimeout: 30_000 };

describe('connections to a target', () => {
  let upstream: Upstream;
  let connections: Connections;
  let sockets: Set<Socket>;

  beforeEach(async () => {
    upstream = await Upstream.start();
    sockets = new Set();
    upstream.handler = (request, response) => {
      sockets.add(request.socket);
      response.end('ok');
    };
    connections = new Connections(upstream.url, OPTIONS);
  });

  afterEach(async () => {
    await connections.destroy();
    await upstream.close();
  });

  const ask = async (path = '/') => {
    const { statusCode, body } = await connections.request({ path, method: 'GET' });
    return `${statusCode} ${await body.text()}`;
  };

  test('one after another, all requests use one', async () => {
    for (let i = 0; i < 5; i++) expect(await ask()).toBe('200 ok');
    expect(sockets.size).toBe(1);
  });

  test('there are as many as requests at once, and then they are used again', async () => {
    const held: ServerResponse[] = [];
    upstream.handler = (request, response) => {
      sockets.add(request.socket);
      held.push(response);
    };
    for (let wave = 0; wave < 2; wave++) {
      const answers = Array.from({ length: 20 }, () => ask());
      await until(() => held.length === 20);
      for (const response of held.splice(0)) response.end('late');
      expect(await Promise.all(answers)).toEqual(new Array(20).fill('200 late'));
    }
    expect(sockets.size).toBe(20);
  });

  test('one that broke is not used again', async () => {
    expect(await ask()).toBe('200 ok');
    upstream.handler = (request) => request.socket.resetAndDestroy();
    await expect(ask()).rejects.toThrow();
    upstream.handler = (request, response) => {
      sockets.add(request.socket);
      response.end('back');
    };
    expect(await ask()).toBe('200 back');
    expect(sockets.size).toBe(2);
  });

  test('what cannot be sent does not cost one', async () => {
    expect(await ask()).toBe('200 ok');
    const invalid = connections.request({ path: '/', method: 'GET', headers: { 'bad name': 'x' } });
    await expect(invalid).rejects.toThrow('invalid header key');
    expect(await ask()).toBe('200 ok');
    expect(sockets.size).toBe(1);
  });

  test('closing waits for what is under way, and nothing begins any more', async () => {
    const held: ServerResponse[] = [];
    upstream.handler = (_request, response) => held.push(response);
    const last = ask();
    await until(() => held.length === 1);
    const closed = connections.close();
    held[0]?.end('last');
    expect(await last).toBe('200 last');
    await closed;
    await expect(ask()).rejects.toThrow('closed');
  });
});
