import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { AuditSubject } from '../audit/trail.ts';
import type { Peer } from '../upstream/peer.ts';
import { refusalBody } from './answers.ts';
import type { Exchange } from './exchange.ts';
import type { Pipeline } from './pipeline.ts';
import { type Refusal, refusals } from './verdict.ts';

const REASON_PHRASES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  413: 'Content Too Large',
  431: 'Request Header Fields Too Large',
  503: 'Service Unavailable',
};

/** Whether an error tells of a request that cannot be read, rather than of a connection that broke. */
export function isRequestError(error: Error): boolean {
  const code = 'code' in error ? String(error.code) : '';
  return code.startsWith('HPE_') || code === 'ERR_HTTP_REQUEST_TIMEOUT';
}

/** What the parser's error means for the client. */
function refusalOf(error: Error): Refusal {
  switch ('code' in error ? error.code : undefined) {
    case 'HPE_HEADER_OVERFLOW':
      return refusals.badRequest('headers_too_large', 431, 'request header fields too large');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return refusals.badRequest('chunk_extensions_too_large', 413, 'payload too large');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return refusals.badRequest('request_timeout', 408, 'request timeout');
    default:
      return refusals.badRequest('malformed_request');
  }
}

/**
 * Answers what the HTTP parser could not read, then closes the connection: nobody knows where the next
 * request would begin. A request whose body broke off is refused so, unless its answer has begun.
 */
export function answerParserError(
  error: Error,
  socket: Duplex,
  peer: Peer<Exchange>,
  pipeline: Pipeline,
): void {
  const exchange = peer.exchange;
  if (!isRequestError(error) || !socket.writable || exchange?.response.headersSent === true) {
    socket.destroy();
    return;
  }
  const refusal = refusalOf(error);
  const traceId = exchange?.traceId || randomUUID();
  if (exchange === null) {
    const request = new UnparsedRequest(refusal, traceId, peer.address);
    pipeline.unparsed(refusal, request, (outcome) => answer(socket, outcome, traceId));
    return;
  }
  exchange.refusal = refusal;
  exchange.hold(refusal.status, () => answer(socket, refusal, traceId));
}

function answer(socket: Duplex, refusal: Refusal, traceId: string): void {
  const body = refusalBody(refusal, traceId);
  socket.end(
    `HTTP/1.1 ${refusal.status} ${REASON_PHRASES[refusal.status]}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nX-Trace-Id: ${traceId}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}

/** What the audit trail learns of a request that could not be read: only where it came from. */
export class UnparsedRequest implements AuditSubject {
  eventId = '';
  readonly startedAt = Date.now();
  readonly traceId: string;
  readonly method = '';
  readonly path = '';
  readonly query = '';
  readonly resource = null;
  readonly clientAddress: string;
  readonly identity = null;
  readonly callerService = null;
  readonly routeService = null;
  readonly eventType = 'request';
  readonly decision = 'deny';
  readonly bytesIn = 0;
  readonly bytesOut = 0;
  readonly latencyMs = 0;
  readonly authMs = -1;
  readonly policyMs = -1;
  readonly hpcMs = -1;
  readonly upstreamMs = -1;
  #refusal: Refusal;

  constructor(refusal: Refusal, traceId: string, clientAddress: string) {
    this.traceId = traceId;
    this.clientAddress = clientAddress;
    this.#refusal = refusal;
  }

  /** The refusal turned out to be another one. */
  refusedWith(refusal: Refusal): this {
    this.#refusal = refusal;
    return this;
  }

  get reason(): string {
    return this.#refusal.reason;
  }
  get stage(): string {
    return this.#refusal.stage;
  }
  get statusCode(): number {
    return this.#refusal.status;
  }
}
