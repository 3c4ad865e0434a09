import type { ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
import type { UpstreamCall, UpstreamFault } from './call.ts';

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

/** Streams one upstream answer to the client. One instance per call. */
export class UpstreamResponse implements Dispatcher.DispatchHandler {
  readonly #call: UpstreamCall;
  readonly #client: ServerResponse;
  readonly #startedAt = performance.now();
  readonly #onFault: (fault: UpstreamFault | 'aborted' | 'truncated') => void;
  #controller: Dispatcher.DispatchController | null = null;
  /** Body bytes still to come by the answer's Content-Length; NaN where it has none. */
  #remaining = Number.NaN;
  #started = false;
  #over = false;
  #drains = false;

  constructor(call: UpstreamCall, onFault: (fault: UpstreamFault | 'aborted' | 'truncated') => void) {
    this.#call = call;
    this.#client = call.response;
    this.#onFault = onFault;
  }

  /** Cancels the upstream's work: the client is gone. */
  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#onFault('aborted');
    this.#controller?.abort(new Error('client went away'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#over) controller.abort(new Error('client went away'));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    // An interim answer (RFC 9110 §15.2) announces the final one and is not it.
    if (status < 200 || this.#over) return;
    this.#started = true;
    this.#call.upstreamMs = performance.now() - this.#startedAt;
    const declared = headers['content-length'];
    if (typeof declared === 'string') this.#remaining = Number(declared);
    const type = headers['content-type'];
    if (typeof type === 'string' && type.startsWith('text/event-stream')) this.#call.eventStream = true;
    this.#client.writeHead(status, this.#answerHeaders(headers));
    // Nothing is flushed yet: the head leaves together with the first bytes of the body. An answer whose
    // body has not come by the end of this turn must not wait for it.
    if (!this.#hasNoBody(status)) process.nextTick(flushHead, this.#client);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#over) return;
    this.#call.bytesOut += chunk.length;
    this.#remaining -= chunk.length;
    if (this.#remaining === 0) {
      // The last bytes by Content-Length: ending now makes one write of head, body and end.
      this.#over = true;
      this.#client.end(chunk);
    } else if (!this.#client.write(chunk)) {
      controller.pause();
      this.#resumeOnDrain();
    }
  }

  onResponseEnd(
    _controller: Dispatcher.DispatchController,
    trailers: Record<string, string | string[] | undefined>,
  ): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#client.chunkedEncoding) {
      for (const name in trailers) this.#client.addTrailers({ [name]: String(trailers[name]) });
    }
    this.#client.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#started) {
      // The client has a part of the answer: only a cut connection says that the rest is missing.
      this.#onFault('truncated');
      this.#client.destroy();
      return;
    }
    const fault = faultOf(error);
    this.#onFault(fault);
    this.#call.upstreamFailed(fault);
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

/** Sends the head of an answer that is still waiting for its body: an event stream's first event, say. */
function flushHead(client: ServerResponse): void {
  if (!client.writableEnded && !client.destroyed) client.flushHeaders();
}

function faultOf(error: Error): UpstreamFault {
  const code = 'code' in error ? String(error.code) : '';
  switch (code) {
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
    case 'ETIMEDOUT':
      return 'timeout';
    case 'ECONNREFUSED':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'refused';
    default:
      return code.startsWith('HPE_') || error instanceof TypeError ? 'protocol' : 'reset';
  }
}
