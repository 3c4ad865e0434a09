import type { ClientRequest, IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Dispatcher } from 'undici';
import { request as httpRequest } from '../node-http.ts';
import type { UpstreamCall } from './call.ts';
import { UpstreamTimeout } from './faults.ts';
import { headersOf } from './header-lines.ts';
import { RequestBody } from './request-body.ts';
import type { Target } from './target.ts';
import { passingTrailers } from './trailers.ts';
import type { UpstreamResponse } from './upstream-response.ts';

/**
 * An upstream that says nothing about an expectation may not know of it: it gets the body after so long
 * (RFC 9110 §10.1.1). Milliseconds.
 */
const CONTINUE_PATIENCE = 1_000;

/** Whether a request needs what the connection pool cannot do: an expectation, or a body that may end in trailers. */
export function needsStreaming(call: UpstreamCall): boolean {
  return call.hasBody && call.body === null && (call.expectsContinue || call.chunked);
}

/**
 * Sends one request whose body the upstream may refuse beforehand, or whose length nobody knows, and tells
 * the response's handler of the answer as the pool would. It has a connection of its own, which ends with
 * it: where the next request would begin is nobody's question.
 */
export class StreamedRequest implements Dispatcher.DispatchController {
  aborted = false;
  paused = false;
  reason: Error | null = null;
  readonly #call: UpstreamCall;
  readonly #target: Target;
  readonly #handler: UpstreamResponse;
  readonly #body: RequestBody;
  readonly #message: ClientRequest;
  #answer: IncomingMessage | null = null;
  #sendsBody = false;
  #timer: NodeJS.Timeout | null = null;
  #over = false;

  constructor(call: UpstreamCall, target: Target, handler: UpstreamResponse) {
    this.#call = call;
    this.#target = target;
    this.#handler = handler;
    this.#body = new RequestBody(call);
    const { connectTimeout, tls } = target.options;
    const send = target.origin.startsWith('https:') ? httpsRequest : httpRequest;
    this.#message = send(target.origin, {
      ...tls,
      agent: false,
      path: target.basePath + call.upstreamPath,
      method: call.method,
      headers: this.#headers(),
      maxHeaderSize: 65_536,
      timeout: connectTimeout,
    });
  }

  /** Sends the head. What comes of it is told to the handler. */
  start(): void {
    this.#body.on('error', (error) => this.#fail(error));
    this.#message.on('socket', (socket) => {
      const ready = 'encrypted' in socket ? 'secureConnect' : 'connect';
      socket.once(ready, () => this.#onConnected());
    });
    this.#message.on('timeout', () => this.#fail(new UpstreamTimeout()));
    this.#message.on('continue', () => this.#sendBody());
    this.#message.on('response', (answer) => this.#onAnswer(answer));
    this.#message.on('error', (error) => this.#fail(error));
    this.#message.flushHeaders();
  }

  abort(reason: Error): void {
    this.aborted = true;
    this.reason = reason;
    this.#fail(reason);
  }

  pause(): void {
    this.paused = true;
    this.#answer?.pause();
  }

  resume(): void {
    this.paused = false;
    this.#answer?.resume();
  }

  #headers(): string[] {
    const { upstreamHeaders, gatewayLines, traceId, chunked, expectsContinue, request } = this.#call;
    const { host } = new URL(this.#target.origin);
    // Not `close`, although it ends with the answer: a service that answers early would close the connection
    // with bytes unread, and the reset would overtake its answer.
    const headers = ['Host', host, 'Connection', 'keep-alive', ...upstreamHeaders];
    headers.push('X-Trace-Id', traceId, ...headersOf(gatewayLines));
    if (expectsContinue) headers.push('Expect', '100-continue');
    if (!chunked) return headers;
    headers.push('Transfer-Encoding', 'chunked');
    const announced = (request.headers.trailer ?? '').split(',').flatMap((name) => [name.trim(), '']);
    const names = passingTrailers(announced).map(([name]) => name);
    if (names.length > 0) headers.push('Trailer', names.join(', '));
    return headers;
  }

  #onConnected(): void {
    if (this.#over) return;
    this.#message.setTimeout(0);
    this.#handler.onRequestStart(this);
    if (this.#over) return; // nobody waits for the answer any more
    if (this.#call.expectsContinue) this.#timer = setTimeout(() => this.#sendBody(), CONTINUE_PATIENCE);
    else this.#sendBody();
  }

  #sendBody(): void {
    if (this.#over || this.#sendsBody || this.#answer !== null) return;
    this.#sendsBody = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const body = this.#body;
    const message = this.#message;
    if (this.#call.expectsContinue) this.#call.response.writeContinue();
    message.on('drain', () => body.resume());
    body.on('data', (chunk) => {
      if (!message.write(chunk)) body.pause();
    });
    body.on('end', () => {
      if (this.#call.chunked) message.addTrailers(passingTrailers(this.#call.request.rawTrailers));
      message.end();
    });
  }

  #onAnswer(answer: IncomingMessage): void {
    if (this.#over) return;
    this.#answer = answer;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#handler.onResponseStarted();
    this.#handler.onResponseStart(this, answer.statusCode ?? 0, undistinct(answer.headersDistinct));
    answer.on('data', (chunk) => this.#handler.onResponseData(this, chunk));
    answer.on('error', (error) => this.#fail(error));
    answer.on('end', () => {
      if (this.#over) return;
      this.#handler.onResponseEnd(this, undistinct(answer.trailersDistinct));
      this.#end();
    });
    if (this.paused) answer.pause();
  }

  #fail(error: Error): void {
    if (this.#over) return;
    this.#end();
    this.#handler.onResponseError(this, error);
  }

  /** Gives the connection up. A body that is not complete is cut off, never ended. */
  #end(): void {
    this.#over = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#body.destroy();
    this.#message.destroy();
  }
}

/** Headers as the pool gives them: a string where there is one value, else a list. */
function undistinct(headers: NodeJS.Dict<string[]>): Record<string, string | string[]> {
  const plain: Record<string, string | string[]> = {};
  for (const [name, values = []] of Object.entries(headers)) {
    plain[name] = values.length === 1 ? (values[0] as string) : values; // it has exactly one
  }
  return plain;
}
