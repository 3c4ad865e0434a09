import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { Gateway, PATIENT } from '../setup/gateway.ts';
import { RawClient } from '../setup/raw-client.ts';
import { RawUpstream } from '../setup/raw-upstream.ts';
import { until } from '../setup/until.ts';

let platform: Platform;
let upstream: RawUpstream;
let gateway: Gateway;
let head: string;

beforeAll(async () => {
  platform = await startPlatform();
  upstream = await RawUpstream.start();
  gateway = await Gateway.start({ ...platform.env, ...PATIENT, LIMS_URL: upstream.url, ROUTE_TIMEOUT: '1' });
  head = `Host: gateway\r\nAuthorization: Bearer ${await platform.iam.issue(USERS.scientist)}\r\n\r\n`;
});
afterAll(async () => {
  await gateway.stop();
  await upstream.close();
  await platform.close();
});
afterEach(() => upstream.forget());

/** An answer to nobody, which must reach nobody. */
const EVIL = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL';
const OK = 'HTTP/1.1 200 OK\r\n';

interface LyingService {
  readonly name: string;
  readonly answer: string;
  /** Closes its connection behind the answer. */
  readonly closes?: true;
  readonly method?: string;
  /** A status and body, or the end of the client's connection without a whole answer. */
  readonly outcome: readonly [status: number, body: string | null] | 'cut';
}

const BAD_GATEWAY = [502, null] as const;
const HELLO = [200, 'hello'] as const;

const services: readonly LyingService[] = [
  {
    name: 'both framings',
    answer: `${OK}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n${EVIL}`,
    outcome: BAD_GATEWAY,
  },
  {
    name: 'two lengths',
    answer: `${OK}Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello${EVIL}`,
    outcome: BAD_GATEWAY,
  },
  {
    name: 'a list of lengths',
    answer: `${OK}Content-Length: 5, 0\r\n\r\nhello${EVIL}`,
    outcome: BAD_GATEWAY,
  },
  { name: 'a signed length', answer: `${OK}Content-Length: +5\r\n\r\nhello${EVIL}`, outcome: BAD_GATEWAY },
  { name: 'a negative length', answer: `${OK}Content-Length: -5\r\n\r\nhello${EVIL}`, outcome: BAD_GATEWAY },
  {
    name: 'a hexadecimal length',
    answer: `${OK}Content-Length: 0x5\r\n\r\nhello${EVIL}`,
    outcome: BAD_GATEWAY,
  },
  {
    name: 'a length beyond 64 bits',
    answer: `${OK}Content-Length: 18446744073709551621\r\n\r\nhello${EVIL}`,
    outcome: BAD_GATEWAY,
  },
  { name: 'more than its length', answer: `${OK}Content-Length: 5\r\n\r\nhello${EVIL}`, outcome: HELLO },
  { name: 'a second answer', answer: `${OK}Content-Length: 0\r\n\r\n${EVIL}`, outcome: [200, ''] },
  {
    name: 'less than its length',
    answer: `${OK}Content-Length: 9\r\n\r\nhello`,
    closes: true,
    outcome: 'cut',
  },
  { name: 'no framing, then the end', answer: `${OK}\r\nhello`, closes: true, outcome: HELLO },
  {
    name: 'chunks that end too early',
    answer: `${OK}Transfer-Encoding: chunked\r\n\r\n9\r\nhello`,
    closes: true,
    outcome: 'cut',
  },
  {
    name: 'a chunk size that is none',
    answer: `${OK}Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n${EVIL}`,
    outcome: 'cut',
  },
  {
    name: 'a chunk longer than its size',
    answer: `${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n${EVIL}`,
    outcome: 'cut',
  },
  {
    name: 'a chunk size beyond 64 bits',
    answer: `${OK}Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n${EVIL}`,
    outcome: 'cut',
  },
  {
    name: 'another coding',
    answer: `${OK}Transfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n${EVIL}`,
    outcome: BAD_GATEWAY,
  },
  {
    name: 'chunked, then another coding',
    answer: `${OK}Transfer-Encoding: chunked, identity\r\n\r\n5\r\nhello\r\n0\r\n\r\n${EVIL}`,
    outcome: BAD_GATEWAY,
  },
  {
    name: 'trailers that are framing',
    answer: `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Trace-Id: evil\r\nConnection: evil\r\nSet-Cookie: evil\r\nX-Checksum: ok\r\n\r\n`,
    outcome: HELLO,
  },
  {
    name: 'a bare CR in a value',
    answer: `${OK}X: a\rb\r\nContent-Length: 5\r\n\r\nhello`,
    outcome: BAD_GATEWAY,
  },
  {
    name: 'a bare LF',
    answer: `${OK}X: a\nSet-Cookie: evil\r\nContent-Length: 5\r\n\r\nhello`,
    outcome: BAD_GATEWAY,
  },
  {
    name: 'a NUL in a value',
    answer: `${OK}X: a\0b\r\nContent-Length: 5\r\n\r\nhello`,
    outcome: BAD_GATEWAY,
  },
  {
    name: 'a space before a colon',
    answer: `${OK}Content-Length : 5\r\n\r\nhello${EVIL}`,
    outcome: BAD_GATEWAY,
  },
  {
    name: 'a folded header',
    answer: `${OK}X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello`,
    outcome: BAD_GATEWAY,
  },
  {
    name: 'a line without a colon',
    answer: `${OK}X\r\nContent-Length: 5\r\n\r\nhello`,
    outcome: BAD_GATEWAY,
  },
  {
    name: 'headers of 100 KB',
    answer: `${OK}X: ${'a'.repeat(100_000)}\r\nContent-Length: 5\r\n\r\nhello`,
    outcome: BAD_GATEWAY,
  },
  {
    name: 'a switch of protocols nobody asked for',
    answer: `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: evil\r\n\r\n${EVIL}`,
    outcome: BAD_GATEWAY,
  },
  {
    name: 'a switch of protocols without a name',
    answer: `HTTP/1.1 101 Switching Protocols\r\n\r\n${EVIL}`,
    outcome: BAD_GATEWAY,
  },
  {
    name: 'a thousand interim answers',
    answer: `${'HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n'.repeat(1_000)}${OK}Content-Length: 5\r\n\r\nhello`,
    outcome: HELLO,
  },
  {
    name: '100 Continue nobody waits for',
    answer: `HTTP/1.1 100 Continue\r\n\r\n${OK}Content-Length: 5\r\n\r\nhello`,
    outcome: BAD_GATEWAY,
  },
  { name: 'no status', answer: 'HTTP/1.1 OK\r\nContent-Length: 5\r\n\r\nhello', outcome: BAD_GATEWAY },
  {
    name: 'a status of four digits',
    answer: 'HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello',
    outcome: BAD_GATEWAY,
  },
  {
    name: 'a status of two digits',
    answer: 'HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello',
    outcome: BAD_GATEWAY,
  },
  {
    name: 'another version',
    answer: 'HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello',
    outcome: HELLO,
  },
  { name: 'no HTTP', answer: 'hello, this is no HTTP\r\n\r\n', outcome: BAD_GATEWAY },
  { name: 'the end at once', answer: '', closes: true, outcome: BAD_GATEWAY },
  {
    name: '204 with a body',
    answer: `HTTP/1.1 204 No Content\r\nContent-Length: 64\r\n\r\n${EVIL}`,
    outcome: [204, ''],
  },
  {
    name: '304 with a body',
    answer: `HTTP/1.1 304 Not Modified\r\nContent-Length: 64\r\n\r\n${EVIL}`,
    outcome: [304, ''],
  },
  {
    name: 'a body for HEAD',
    method: 'HEAD',
    answer: `${OK}Content-Length: 64\r\n\r\n${EVIL}`,
    outcome: [200, ''],
  },
];

describe('a service that lies leaves every connection in step', () => {
  test.each(services)('$name', async ({ answer, closes, method = 'GET', outcome }) => {
    upstream.answer = ({ target }, socket) => {
      if (target === '/marker') return `${OK}Content-Length: 6\r\n\r\nmarker`;
      if (closes) socket.end(answer, 'latin1');
      return closes ? null : answer;
    };
    const client = await RawClient.connect(gateway.port);
    client.send(`${method} /api/lims/a HTTP/1.1\r\n${head}`);
    const [first] = await client.untilAnswers(1);
    if (outcome === 'cut') {
      await client.untilClosed();
      expect(first).toBeUndefined();
    } else {
      const [status, body] = outcome;
      expect(first?.status).toBe(status);
      if (body !== null) expect(first?.body).toBe(body);
      // What comes next on this connection is the next answer, on a sound connection to the service.
      const answers = await client.send(`GET /api/lims/marker HTTP/1.1\r\n${head}`).untilAnswers(2);
      expect(answers.map((next) => next.body).slice(1)).toEqual(['marker']);
      expect(client.received).not.toMatch(/^(?:connection|set-cookie|x-trace-id): evil/im);
      client.close();
    }
    expect(client.received).not.toContain('EVIL');
    // Nothing of it reaches anybody else.
    const other = await RawClient.connect(gateway.port);
    const [next] = await other.send(`GET /api/lims/marker HTTP/1.1\r\n${head}`).untilAnswers(1);
    expect([next?.status, next?.body]).toEqual([200, 'marker']);
    other.close();
  });

  test('an answer sent before there is a question is nobody’s', async () => {
    let idle = 0;
    upstream.answer = ({ target }, socket) => {
      // The answer of the next one is already there when the next one asks.
      socket.write(`${OK}Content-Length: 6\r\n\r\n${target.padEnd(6).slice(0, 6)}`);
      setTimeout(() => {
        socket.write(EVIL);
        idle++;
      }, 5);
      return null;
    };
    const client = await RawClient.connect(gateway.port);
    for (let i = 1; i <= 20; i++) {
      const answers = await client.send(`GET /api/lims/${i} HTTP/1.1\r\n${head}`).untilAnswers(i);
      expect(answers.at(-1)?.body.trim()).toBe(`/${i}`);
      await until(() => idle === i);
    }
    expect(client.received).not.toContain('EVIL');
    client.close();
  });

  test('interim answers without end are no answer', async () => {
    upstream.answer = (_request, socket) => {
      const timer = setInterval(() => socket.write('HTTP/1.1 102 Processing\r\n\r\n'), 20);
      socket.on('close', () => clearInterval(timer));
      return null;
    };
    const client = await RawClient.connect(gateway.port);
    const [answer] = await client.send(`GET /api/lims/a HTTP/1.1\r\n${head}`).untilAnswers(1);
    expect(answer?.status).toBe(504);
    client.close();
  });
});
