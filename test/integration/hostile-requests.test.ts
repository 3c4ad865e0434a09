import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { CORPUS } from '../hostile/corpus.ts';
import { expectJudged } from '../hostile/judged.ts';
import { ask } from '../setup/client.ts';
import { Gateway, PATIENT } from '../setup/gateway.ts';
import { RawClient } from '../setup/raw-client.ts';
import { RawUpstream } from '../setup/raw-upstream.ts';
import type { StrictRequest } from '../setup/strict-http.ts';
import { until } from '../setup/until.ts';

let platform: Platform;
let upstream: RawUpstream;
let gateway: Gateway;
let auth: string;

beforeAll(async () => {
  platform = await startPlatform();
  upstream = await RawUpstream.start();
  gateway = await Gateway.start({ ...platform.env, ...PATIENT, LIMS_URL: upstream.url });
  auth = `Authorization: Bearer ${await platform.iam.issue(USERS.scientist)}\r\n`;
});
afterAll(async () => {
  await gateway.stop();
  await upstream.close();
  await platform.close();
});
afterEach(() => upstream.forget());

const connect = () => RawClient.connect(gateway.port);
const summary = ({ method, target, body }: StrictRequest) => `${method} ${target} ${body}`;
const marker = () => `GET /api/lims/marker HTTP/1.1\r\nHost: gateway\r\n${auth}Connection: close\r\n\r\n`;

describe('each published form is refused, or arrives as exactly the requests that were judged', () => {
  test.each(CORPUS)('$name ($source)', async ({ bytes, expect: expected }) => {
    const client = await connect();
    client.send(bytes.replaceAll('{auth}', auth));
    if (typeof expected === 'number') {
      const answers = await client.untilClosed();
      expect(answers.map(({ status }) => status)).toEqual([expected]);
      // A request that broke off within its body may have begun at the service: it must have been cut there.
      await until(() => upstream.connections.every(({ closed }) => closed) || upstream.requests.length > 0);
      expect(upstream.requests.map(summary)).toEqual([]);
    } else {
      // What follows on the connection is read as it was sent, or not at all.
      client.send(marker());
      await client.untilClosed();
      const { requests } = upstream;
      const marked = requests.some(({ target }) => target === '/marker');
      expect(requests.map(summary)).toEqual([...expected.seen, ...(marked ? ['GET /marker '] : [])]);
      const statuses = expected.statuses ?? expected.seen.map(() => 200);
      expect(client.answers.map(({ status }) => status)).toEqual([...statuses, ...(marked ? [200] : [])]);
      for (const request of requests) expectJudged(request, auth, upstream.host);
    }
  });
});

test.each([
  ['GET', 'close'],
  ['DELETE', 'close'],
  ['POST', 'keep-alive'],
])(
  'no request follows on the service’s connection where %s has a body it need not have: %s',
  async (method, expected) => {
    const client = await connect();
    client.send(`${method} /api/lims/a HTTP/1.1\r\nHost: gateway\r\n${auth}Content-Length: 1\r\n\r\nx`);
    await client.untilAnswers(1);
    const [, connection] = upstream.requests[0]?.headers.find(([name]) => name === 'connection') ?? [];
    expect(connection).toBe(expected);
    client.close();
  },
);

describe('several requests on one connection', () => {
  const numbered = (n: number, method = 'GET') =>
    `${method} /api/lims/${n} HTTP/1.1\r\nHost: gateway\r\n${auth}Content-Length: 1\r\n\r\nx`;

  test('are answered in their order, and each is begun when the one before is answered', async () => {
    const client = await connect();
    upstream.answer = ({ target }, socket) => {
      // Whatever takes longer must not be overtaken.
      setTimeout(
        () => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${target}`),
        Math.random() * 20,
      );
      expect(upstream.requests).toHaveLength(client.answers.length + 1);
      return null;
    };
    client.send(Array.from({ length: 40 }, (_, i) => numbered(i, i % 2 === 0 ? 'GET' : 'POST')).join(''));
    const answers = await client.untilAnswers(40);
    expect(answers.map(({ body }) => body)).toEqual(Array.from({ length: 40 }, (_, i) => `/${i}`));
    client.close();
  });

  test('a refused one does not hinder the next', async () => {
    const client = await connect();
    client.send(`GET /api/lims/a HTTP/1.1\r\nHost: gateway\r\n\r\n${numbered(1)}`);
    const answers = await client.untilAnswers(2);
    expect(answers.map(({ status }) => status)).toEqual([401, 200]);
    expect(upstream.requests.map(summary)).toEqual(['GET /1 x']);
    client.close();
  });

  test('nothing waits on a connection that its client has left', async () => {
    upstream.answer = () => null;
    const client = await connect();
    client.send(numbered(1) + numbered(2));
    await until(() => upstream.requests.length === 1);
    client.close();
    await until(() => upstream.connections[0]?.closed === true);
    expect(upstream.requests.map(summary)).toEqual(['GET /1 x']);
    await until(async () => /gateway_open_connections 0/.test(await gateway.metrics()));
  });

  test('far too many at once end the connection', async () => {
    const client = await connect();
    upstream.answer = () => null;
    client.send(numbered(1) + 'GET /health HTTP/1.1\r\nHost: g\r\n\r\n'.repeat(1_500));
    await client.untilClosed();
  });

  test('a tunnel asked for behind a request, or left at once, harms nobody', async () => {
    const client = await connect();
    upstream.answer = () => null;
    client.send(`${numbered(1)}CONNECT evil:80 HTTP/1.1\r\nHost: evil:80\r\n\r\n`);
    await client.untilClosed();
    for (let i = 0; i < 20; i++) {
      const hasty = await connect();
      hasty.send('CONNECT evil:80 HTTP/1.1\r\nHost: evil:80\r\n\r\n');
      hasty.socket.resetAndDestroy();
    }
    expect((await ask(`${gateway.url}/health`)).status).toBe(200);
    expect(gateway.output).not.toContain('worker died');
  });
});
