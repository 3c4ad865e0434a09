import type { IncomingMessage } from 'node:http';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { Chromium } from '../setup/chromium.ts';
import { Gateway } from '../setup/gateway.ts';
import { until } from '../setup/until.ts';
import { Upstream } from '../setup/upstream.ts';

const COOKIE = 'omnibioai_access_token';

let platform: Platform;
let upstream: Upstream;
/** Serves the pages: the same server under two origins, of which one is listed. */
let pages: Upstream;
let strangers: Upstream;
let gateway: Gateway;
let browser: Chromium;
let token: string;
let studio: Page;
let stranger: Page;
/** The gateway as pages know it. Not the pages' origin, but their site: so cookies go along. */
let api: string;

const onLocalhost = (url: string) => url.replace('127.0.0.1', 'localhost');

beforeAll(async () => {
  platform = await startPlatform();
  upstream = await Upstream.start();
  pages = await Upstream.start();
  strangers = await Upstream.start();
  const page: Upstream['handler'] = (_request, response) =>
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>page</title>');
  pages.handler = page;
  strangers.handler = page;
  gateway = await Gateway.start({
    ...platform.env,
    LIMS_URL: upstream.url,
    CORS_ORIGINS: onLocalhost(pages.url),
    AUTH_COOKIE: COOKIE,
  });
  api = `${onLocalhost(gateway.url)}/api/lims`;
  token = await platform.iam.issue(USERS.scientist);
  browser = await Chromium.start();
  studio = await browser.open(onLocalhost(pages.url));
  stranger = await browser.open(onLocalhost(strangers.url));
});
afterAll(async () => {
  await browser.close();
  await gateway.stop();
  await Promise.all([upstream, pages, strangers].map((server) => server.close()));
  await platform.close();
});

const signIn = () =>
  browser.context.addCookies([
    { name: COOKIE, value: token, domain: 'localhost', path: '/', httpOnly: true, sameSite: 'Lax' },
  ]);

/** What a page gets to see of an answer. */
function put(page: Page, authorization: string | null): Promise<Record<string, unknown>> {
  return page.evaluate(
    async ({ url, authorization: value }) => {
      try {
        const response = await fetch(url, {
          method: 'PUT',
          credentials: 'include',
          headers: {
            'Content-Type': 'application/json',
            'X-Own': '1',
            ...(value === null ? {} : { Authorization: value }),
          },
          body: '{"sample":1}',
        });
        return {
          status: response.status,
          trace: response.headers.get('x-trace-id'),
          body: await response.json(),
        };
      } catch (error) {
        return { error: String(error) };
      }
    },
    { url: `${api}/samples/1`, authorization },
  );
}

describe('fetch', () => {
  test('passes its preflight and reads answer and trace id', async () => {
    let asked: IncomingMessage | undefined;
    upstream.handler = async (request, response) => {
      asked = request;
      let body = '';
      for await (const chunk of request) body += chunk;
      response.writeHead(200, { 'content-type': 'application/json' }).end(body);
    };
    const answer = await put(studio, `Bearer ${token}`);
    expect(answer).toEqual({
      status: 200,
      trace: expect.stringMatching(/^[0-9a-f-]{36}$/),
      body: { sample: 1 },
    });
    expect([asked?.method, asked?.headers['x-own']]).toEqual(['PUT', '1']);
  });

  test('reads why it was refused', async () => {
    const answer = await put(studio, null);
    expect(answer).toEqual({
      status: 401,
      trace: expect.any(String),
      body: { error: 'missing token', trace_id: answer.trace },
    });
  });

  test('of another origin reads nothing and changes nothing', async () => {
    let asked = 0;
    upstream.handler = (_request, response) => {
      asked++;
      response.end('{}');
    };
    expect(await put(stranger, `Bearer ${token}`)).toEqual({ error: 'TypeError: Failed to fetch' });
    expect(asked).toBe(0);
  });
});

test('EventSource gets each event as it is written, and its end reaches the service within a second', async () => {
  await signIn();
  let write: (event: string) => void = () => {};
  let gone = false;
  upstream.handler = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    write = (event) => response.write(`data: ${event}\n\n`);
    write('first');
    response.on('close', () => {
      gone = true;
    });
  };
  await studio.evaluate((url) => {
    const events: string[] = [];
    const source = new EventSource(url, { withCredentials: true });
    source.onmessage = ({ data }) => {
      events.push(data);
      if (data === 'last') source.close();
    };
    Object.assign(globalThis, { events });
  }, `${api}/logs`);
  const events = () => studio.evaluate(() => (globalThis as unknown as { events: string[] }).events); // set above
  await until(async () => (await events()).length === 1);
  write('second');
  await until(async () => (await events()).length === 2);
  expect([await events(), gone]).toEqual([['first', 'second'], false]);
  write('last');
  await until(async () => (await events()).length === 3);
  await until(() => gone, 1_000);
});

/** Opens a WebSocket in a page that says `hello`, and gathers what it gets until it is closed. */
async function converse(page: Page): Promise<() => Promise<{ messages: string[]; code: number }>> {
  await page.evaluate(
    (url) => {
      const seen = { messages: [] as string[], code: 0 };
      const socket = new WebSocket(url);
      socket.onopen = () => socket.send('hello');
      socket.onmessage = ({ data }) => seen.messages.push(data);
      socket.onclose = ({ code }) => {
        seen.code = code;
      };
      Object.assign(globalThis, { seen });
    },
    `${api.replace('http', 'ws')}/terminal`,
  );
  return () =>
    page.evaluate(() => (globalThis as unknown as { seen: { messages: string[]; code: number } }).seen); // set above
}

test('WebSocket passes by its cookie from a listed page only, and is told when the gateway goes', async () => {
  await signIn();
  upstream.accept((socket) => socket.on('message', (data) => socket.send(`echo ${data}`)));
  const refused = await converse(stranger);
  await until(async () => (await refused()).code !== 0);
  expect(await refused()).toEqual({ messages: [], code: 1006 });

  const seen = await converse(studio);
  await until(async () => (await seen()).messages.length === 1);
  expect(await seen()).toEqual({ messages: ['echo hello'], code: 0 });
  expect(await gateway.stop()).toBe(0);
  await until(async () => (await seen()).code !== 0);
  expect((await seen()).code).toBe(1001);
});
