import autocannon from 'autocannon';
import { isConstant, requestSource } from './requests.ts';
import type { LoadSpec } from './spec.ts';
import { tokenFor } from './tokens.ts';
import type { Window } from './window.ts';

/** Each connection repeats so many requests drawn beforehand: building them costs nothing while measuring. */
const DRAWN = 500;

/** Requests one after another on kept connections, by autocannon. Gives the function that ends it. */
export function sendOnKept(spec: LoadSpec, window: Window): () => Promise<void> {
  const { tokens, method, connections } = spec;
  const body = spec.body === '' ? {} : { body: spec.body };
  let seed = 1;
  const first = requestSource(spec, 0)();
  const instance = autocannon(
    {
      url: `http://127.0.0.1:${spec.port}${first.path}`,
      connections,
      method,
      headers: first.headers,
      ...body,
      duration: 3600,
      timeout: 30,
      sampleInt: 100,
      setupClient(client) {
        const next = requestSource(spec, seed++);
        if (tokens.count === -1) {
          // Every request another token: built as it is sent, because none may come twice.
          client.setRequests([{ setupRequest: (request) => ({ ...request, ...next() }) }]);
        } else if (!isConstant(spec)) {
          client.setRequests(Array.from({ length: DRAWN }, () => ({ method, ...body, ...next() })));
        }
      },
    },
    () => {},
  );
  instance.on('response', (_client, status, bytes, milliseconds) => {
    if (status === spec.expect) window.answered(milliseconds, bytes);
    else window.failed();
  });
  instance.on('reqError', () => window.failed());
  const done = new Promise<void>((resolve) => {
    instance.on('done', () => resolve());
  });
  return () => {
    instance.stop?.();
    return done;
  };
}

/** Sends one request for each of the load's tokens; resolves when the last is answered. */
export function sendEachTokenOnce(spec: LoadSpec): Promise<void> {
  const { from, count, secret, issuedAt } = spec.tokens;
  let user = from;
  const authorization = () => `Bearer ${tokenFor(secret, user++, issuedAt)}`;
  return new Promise((resolve, reject) => {
    autocannon(
      {
        url: `http://127.0.0.1:${spec.port}${spec.paths[0] ?? '/'}`,
        connections: spec.connections,
        amount: count,
        timeout: 30,
        requests: [
          { setupRequest: (request) => ({ ...request, headers: { authorization: authorization() } }) },
        ],
      },
      (error, result) => {
        if (error !== null && error !== undefined) reject(error);
        else if (result.non2xx + result.errors > count / 100) reject(new Error('the tokens are refused'));
        else resolve();
      },
    );
  });
}
