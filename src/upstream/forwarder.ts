import { Pool } from 'undici';
import type { Route } from '../config/routes.ts';
import type { UpstreamCall, UpstreamFault } from './call.ts';
import { RequestBody } from './request-body.ts';
import { UpstreamResponse } from './upstream-response.ts';

/** Methods whose requests every server expects to have a body. */
const EXPECT_BODY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/** Told of everything that goes wrong between gateway and service. */
export type UpstreamObserver = (service: string, fault: UpstreamFault | 'aborted' | 'truncated') => void;

interface Target {
  readonly pool: Pool;
  readonly origin: string;
  readonly basePath: string;
}

/** Sends requests to their services over kept connections and streams the answers back. */
export class Forwarder {
  readonly #targets = new Map<Route, Target>();
  readonly #pools = new Map<string, Pool>();
  readonly #bodyTimeout: number;
  readonly #observe: UpstreamObserver;

  /** @param streamIdleTimeout milliseconds an answer may pause once its head has come */
  constructor(routes: readonly Route[], streamIdleTimeout: number, observe: UpstreamObserver) {
    this.#bodyTimeout = streamIdleTimeout;
    this.#observe = observe;
    for (const route of routes) {
      const { origin, pathname } = new URL(route.targets[0] ?? '');
      this.#targets.set(route, {
        pool: this.#poolFor(origin, route.timeout),
        origin,
        basePath: pathname === '/' ? '' : pathname,
      });
    }
  }

  /** Begins a call; its outcome goes to the call's response. The result can abort it. */
  forward(call: UpstreamCall): UpstreamResponse {
    const { route } = call;
    const handler = new UpstreamResponse(call, (fault) => this.#observe(route.service, fault));
    const target = this.#targets.get(route);
    if (target === undefined) throw new Error(`no target for route ${route.prefix}`);
    try {
      target.pool.dispatch(
        {
          origin: target.origin,
          path: target.basePath + call.upstreamPath,
          method: call.method as 'GET', // any token the parser let through; undici's type lists the usual ones
          headers: call.upstreamHeaders,
          body: call.body ?? (call.hasBody ? new RequestBody(call.request) : null),
          headersTimeout: route.timeout,
          bodyTimeout: this.#bodyTimeout,
          // A service that does not expect a body here might take it for its next request: there is none.
          ...(call.hasBody && !EXPECT_BODY.has(call.method) ? { reset: true } : null),
        },
        handler,
      );
    } catch (error) {
      handler.onResponseError(null, error instanceof Error ? error : new Error(String(error)));
    }
    return handler;
  }

  /** Closes all connections once what is in flight has ended. */
  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
  }

  #poolFor(origin: string, connectTimeout: number): Pool {
    const key = `${origin} ${connectTimeout}`;
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = new Pool(origin, {
        connections: null, // as many as there are requests at once
        pipelining: 1,
        allowH2: false,
        connect: { timeout: connectTimeout },
        keepAliveTimeout: 30_000,
        keepAliveMaxTimeout: 300_000,
        maxHeaderSize: 65_536,
      });
      this.#pools.set(key, pool);
    }
    return pool;
  }
}
