import type { Dispatcher } from 'undici';
import type { Route } from '../config/routes.ts';
import type { Standing } from './breaker.ts';
import type { UpstreamCall, UpstreamFault } from './call.ts';
import { type Carrier, Delivery, type RetryResult } from './delivery.ts';
import { HealthChecks } from './health-check.ts';
import { RequestBody } from './request-body.ts';
import { type ServiceObserver, UpstreamService } from './service.ts';
import { needsStreaming, StreamedRequest } from './streamed-request.ts';
import { Target } from './target.ts';
import type { UpstreamResponse } from './upstream-response.ts';

/** A target that does not take a connection in this time is passed over. Milliseconds. */
const CONNECT_TIMEOUT = 5_000;

/** Methods whose requests every server expects to have a body. */
const EXPECT_BODY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/** Told of everything worth counting between gateway and services. */
export interface UpstreamObserver extends ServiceObserver {
  failed(service: string, kind: UpstreamFault | 'aborted' | 'truncated'): void;
  retried(service: string, result: RetryResult): void;
}

export interface ForwarderOptions {
  /** Milliseconds an answer may pause once its head has come. */
  readonly streamIdleTimeout: number;
  /** Milliseconds between two looks at what a target's name resolves to. */
  readonly dnsRefresh: number;
  /** Processes that share the routes' limits of requests at once. */
  readonly workers: number;
}

/** Sends requests to their services over kept connections and streams the answers back. */
export class Forwarder implements Carrier {
  /** Milliseconds an answer may pause once its head has come. */
  readonly streamIdleTimeout: number;
  /** One for each set of targets that routes name; routes that agree in everything share one. */
  readonly services: readonly UpstreamService[];
  readonly #serviceOf = new Map<Route, UpstreamService>();
  readonly #checks: HealthChecks[] = [];
  readonly #observer: UpstreamObserver;

  constructor(routes: readonly Route[], options: ForwarderOptions, observer: UpstreamObserver) {
    this.streamIdleTimeout = options.streamIdleTimeout;
    this.#observer = observer;
    const services = new Map<string, UpstreamService>();
    for (const route of routes) {
      const connectTimeout = Math.min(route.timeout, CONNECT_TIMEOUT);
      const { service: name, targets, tls, maxConcurrency, healthCheck } = route;
      const key = JSON.stringify([name, targets, tls, maxConcurrency, healthCheck, connectTimeout]);
      let service = services.get(key);
      if (service === undefined) {
        const places = Math.max(1, Math.floor(maxConcurrency / options.workers));
        service = new UpstreamService(
          name,
          targets.map((url) => new Target(url, { connectTimeout, dnsRefresh: options.dnsRefresh, tls })),
          places,
          observer,
        );
        services.set(key, service);
        if (healthCheck !== null) this.#checks.push(new HealthChecks(service, healthCheck));
      }
      this.#serviceOf.set(route, service);
    }
    this.services = [...services.values()];
  }

  /** Begins a call; its outcome goes to the call's response. The result can abort it. */
  forward(call: UpstreamCall): Delivery {
    const service = this.#serviceOf.get(call.route);
    if (service === undefined) throw new Error(`no service for route ${call.route.prefix}`);
    const delivery = new Delivery(call, service, this);
    delivery.start();
    return delivery;
  }

  send(call: UpstreamCall, target: Target, response: UpstreamResponse): void {
    try {
      if (needsStreaming(call)) {
        new StreamedRequest(call, target, response).start();
        return;
      }
      const options: Dispatcher.DispatchOptions = {
        origin: target.origin,
        path: target.basePath + call.upstreamPath,
        method: call.method as 'GET', // any token the parser let through; undici's type lists the usual ones
        headers: call.upstreamHeaders,
        upgrade: call.upgradeProtocol,
        body: call.body ?? (call.hasBody ? new RequestBody(call) : null),
      };
      // A service that does not expect a body here might take it for its next request: there is none.
      if (call.hasBody && !EXPECT_BODY.has(call.method)) options.reset = true;
      target.pool.send(options, response, call.traceId + call.gatewayLines);
    } catch (error) {
      response.onResponseError(null, error instanceof Error ? error : new Error(String(error)));
    }
  }

  failed(service: string, kind: UpstreamFault | 'aborted' | 'truncated'): void {
    this.#observer.failed(service, kind);
  }

  retried(service: string, result: RetryResult): void {
    this.#observer.retried(service, result);
  }

  /** How targets stand that are not up, by service and base URL: there may be thousands that are. */
  standings(): Record<string, Record<string, Standing>> {
    const all: Record<string, Record<string, Standing>> = {};
    for (const { name, targets } of this.services) {
      for (const { url, standing } of targets) {
        if (standing === 'up') continue;
        all[name] ??= {};
        all[name][url] = standing;
      }
    }
    return all;
  }

  /** Closes all connections once what is in flight has ended. */
  async close(): Promise<void> {
    for (const checks of this.#checks) checks.close();
    await Promise.all(this.services.flatMap(({ targets }) => targets.map((target) => target.close())));
  }
}
