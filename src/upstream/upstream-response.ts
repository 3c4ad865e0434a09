import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Dispatcher } from 'undici';
import { framingFault, interimFault } from './answer-rules.ts';
import type { UpstreamCall, UpstreamFault } from './call.ts';
import type { Connection, Tenant } from './connections.ts';
import { faultOf, UpstreamTimeout } from './faults.ts';
import { mayBeTrailer } from './trailers.ts';

/** Response headers that end here: hop-by-hop ones, the gateway's own, and what only services may see. */
const DROPPED = new Set([
  'authorization',
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
  'x-internal-service',
  'x-service-token',
  'x-trace-id',
]);

/** A body of so many bytes in one piece is written together with its head. */
const ONE_WRITE = 16_384;

/** Told how the upstream's part of a call goes. Exactly one of the last three is called, and nothing after it. */
export interface ResponseOwner {
  /** The answer's head has come. */
  answered(status: number): void;
  /** The answer has ended, or its client has all it will get. */
  ended(): void;
  /** The answer broke off after the client had got a part of it. */
  truncated(): void;
  /**
   * There is no answer, and the client has got nothing.
   * @param sent whether a connection was made and the request may have been seen
   * @param answering whether bytes of an answer came
   */
  failed(fault: UpstreamFault | 'aborted', sent: boolean, answering: boolean): void;
}

/** Streams one upstream answer to the client. One instance per call, also where it is tried again. */
export class UpstreamResponse implements Tenant {
  /** The pool's that the request is on; null: none, or one of its own. */
  connection: Connection | null = null;
  readonly #call: UpstreamCall;
  readonly #client: ServerResponse;
  readonly #startedAt = performance.now();
  readonly #owner: ResponseOwner;
  #controller: Dispatcher.DispatchController | null = null;
  /** Body bytes still to come by the answer's Content-Length; NaN where it has none. */
  #remaining = Number.NaN;
  #sent = false;
  #answering = false;
  #started = false;
  /** The answer has come and may not begin yet. */
  #waits = false;
  /** Those of an answer that has ended while it waits: one without a body. */
  #trailers: Record<string, string | string[] | undefined> | null = null;
  #over = false;
  #drains = false;
  /** What had passed in both directions when it was looked at last, and since when no more has. */
  #passed = 0;
  #standsSince = 0;

  constructor(call: UpstreamCall, owner: ResponseOwner) {
    this.#call = call;
    this.#client = call.response;
    this.#owner = owner;
  }

  /** Cancels the upstream's work; the owner is told nothing more. */
  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#controller?.abort(new Error('client went away'));
  }

  /**
   * Gives the upstream up where it has neither taken nor given anything for too long, although it is its turn.
   * @param now by `performance.now`
   * @param idleTimeout milliseconds an answer may pause once it has begun
   */
  look(now: number, idleTimeout: number): void {
    if (!this.#sent || this.#over) return; // making a connection has a limit of its own
    const passed = this.#call.bodyBytes + this.#call.bytesOut;
    if (passed !== this.#passed || this.#waitsForClient()) {
      this.#passed = passed;
      this.#standsSince = now;
      return;
    }
    const { upstreamMs, route } = this.#call;
    const limit = upstreamMs < 0 ? route.timeout : idleTimeout;
    if (now - this.#standsSince >= limit) this.#controller?.abort(new UpstreamTimeout());
  }

  /** Whether the client takes no more of the answer, or has not sent all that the upstream would take. */
  #waitsForClient(): boolean {
    if (this.#controller?.paused === true) return true;
    const { hasBody, body, request } = this.#call;
    return hasBody && body === null && !request.complete && !request.isPaused();
  }

  /** The call failed and is to be tried again. */
  reset(): void {
    this.#controller = null;
    this.#sent = false;
    this.#answering = false;
    this.#waits = false;
    this.#trailers = null;
    this.#over = false;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    this.#sent = true;
    this.#standsSince = performance.now();
    if (this.#over) controller.abort(new Error('client went away'));
  }

  onResponseStarted(): void {
    this.#answering = true;
  }

  onRequestUpgrade(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
    duplex: Duplex,
  ): void {
    this.#leave(false);
    const socket = duplex as Socket; // undici connects by TCP or TLS
    if (this.#over) {
      socket.destroy();
      return;
    }
    this.#over = true;
    this.#call.upstreamMs = performance.now() - this.#startedAt;
    if (this.#call.upgraded({ headers: this.#answerHeaders(headers), raw: headers, socket })) {
      this.#owner.answered(status);
      this.#owner.ended(); // an open tunnel takes no place from requests
      return;
    }
    socket.on('error', () => {}); // of a connection that is given up
    socket.destroy();
    this.#owner.failed('protocol', true, true);
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (this.#over) return;
    const fault = status < 200 ? interimFault(status) : framingFault(headers);
    if (fault !== null) {
      controller.abort(fault);
      return;
    }
    // An interim answer (RFC 9110 §15.2) announces the final one and is not it.
    if (status < 200) return;
    this.#standsSince = performance.now();
    this.#call.upstreamMs = this.#standsSince - this.#startedAt;
    if (status === 204) delete headers['content-length']; // it must have none (RFC 9110 §8.6)
    const declared = headers['content-length'];
    if (typeof declared === 'string') this.#remaining = Number(declared);
    const type = headers['content-type'];
    if (typeof type === 'string' && type.startsWith('text/event-stream')) this.#call.eventStream = true;
    this.#owner.answered(status);
    if (!this.#call.held) {
      this.#begin(status, headers);
      return;
    }
    this.#waits = true;
    controller.pause();
    this.#call.hold(status, () => {
      // Meanwhile the client may have gone, or the call be tried again.
      if (this.#over || this.#controller !== controller) return;
      this.#waits = false;
      this.#begin(status, headers);
      if (this.#trailers !== null) this.#end(this.#trailers);
      else controller.resume();
    });
  }

  #begin(status: number, headers: Record<string, string | string[] | undefined>): void {
    this.#started = true;
    this.#client.writeHead(status, this.#answerHeaders(headers));
    // Nothing is flushed yet: the head leaves together with the first bytes of the body.
    if (!this.#hasNoBody(status)) flushSoon(this.#client);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#over) return;
    this.#call.bytesOut += chunk.length;
    this.#remaining -= chunk.length;
    if (this.#remaining === 0) {
      // The last bytes by Content-Length: ending now makes one write of head, body and end.
      this.#over = true;
      // As text, head and body leave in one plain write: a tenth of the request's CPU time less than a vectored one.
      if (chunk.length <= ONE_WRITE) this.#client.end(chunk.toString('latin1'), 'latin1');
      else this.#client.end(chunk);
      this.#owner.ended();
    } else if (!this.#client.write(chunk)) {
      controller.pause();
      this.#resumeOnDrain();
    }
  }

  onResponseEnd(
    _controller: Dispatcher.DispatchController,
    trailers: Record<string, string | string[] | undefined>,
  ): void {
    this.#leave(true);
    if (this.#over) return;
    if (this.#waits) this.#trailers = trailers;
    else this.#end(trailers);
  }

  #end(trailers: Record<string, string | string[] | undefined>): void {
    this.#over = true;
    if (this.#client.chunkedEncoding) {
      for (const name in trailers) {
        if (DROPPED.has(name) || !mayBeTrailer(name)) continue;
        this.#client.addTrailers({ [name]: String(trailers[name]) });
      }
    }
    this.#client.end();
    this.#owner.ended();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    // One that has not even begun has not harmed its connection.
    this.#leave(!this.#sent);
    if (this.#over) return;
    this.#over = true;
    if (this.#started) {
      // The client has a part of the answer: only a cut connection says that the rest is missing.
      this.#client.destroy();
      this.#owner.truncated();
      return;
    }
    const fault = faultOf(error);
    // What went wrong before there was a connection, in TLS say, is a refusal of it.
    this.#owner.failed(!this.#sent && fault === 'reset' ? 'refused' : fault, this.#sent, this.#answering);
  }

  /** Parts with the connection: the next request may use it, or none. */
  #leave(usable: boolean): void {
    const { connection } = this;
    this.connection = null;
    if (usable) connection?.giveBack();
    else connection?.discard();
  }

  #answerHeaders(headers: Record<string, string | string[] | undefined>): string[] {
    const flat = [...this.#call.answerHeaders];
    const connection = headers.connection;
    const named =
      typeof connection === 'string' && !/^(close|keep-alive)$/i.test(connection)
        ? connection.toLowerCase()
        : '';
    for (const name in headers) {
      if (DROPPED.has(name)) continue;
      if (this.#call.cors !== null && name.startsWith('access-control-')) continue;
      if (named !== '' && named.split(',').some((option) => option.trim() === name)) continue;
      const value = headers[name];
      if (typeof value === 'string') flat.push(name, value);
      else if (value !== undefined) for (const one of value) flat.push(name, one);
    }
    return flat;
  }

  #hasNoBody(status: number): boolean {
    return this.#remaining === 0 || status === 204 || status === 304 || this.#call.method === 'HEAD';
  }

  #resumeOnDrain(): void {
    if (this.#drains) return;
    this.#drains = true;
    this.#client.on('drain', () => this.#controller?.resume());
  }
}

/** Answers that began in this turn of the event loop. */
let begun: ServerResponse[] = [];

/** Sends an answer's head at the end of this turn, if its body has not come by then: an event stream's, say. */
function flushSoon(client: ServerResponse): void {
  if (begun.push(client) === 1) setImmediate(flushBegun);
}

function flushBegun(): void {
  const clients = begun;
  begun = [];
  for (const client of clients) {
    if (!client.writableEnded && !client.destroyed) client.flushHeaders();
  }
}
