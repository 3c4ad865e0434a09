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

/** So long a client gets to read why its connection ends. Milliseconds. */
const LINGER = 1_000;

const faults = {
  headers: refusals.badRequest('headers_too_large', 431, 'request header fields too large'),
  chunkExtensions: refusals.badRequest('chunk_extensions_too_large', 413, 'payload too large'),
  timeout: refusals.badRequest('request_timeout', 408, 'request timeout'),
  malformed: refusals.badRequest('malformed_request'),
};

/** A body that does not go on. */
export const BODY_TIMEOUT = refusals.badRequest('body_timeout', 408, 'request timeout');

/** What the parser's error means for the client; null: the connection broke, not the request. */
export function parserFault(error: Error): Refusal | null {
  const code = 'code' in error ? String(error.code) : '';
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return faults.headers;
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return faults.chunkExtensions;
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return faults.timeout;
    default:
      return code.startsWith('HPE_') ? faults.malformed : null;
  }
}

/**
 * Answers a request that could not be read to its end, then closes the connection: nobody knows where the
 * next one would begin. Where its head was read and its answer has begun, the connection is cut.
 */
export function answerUnread(
  refusal: Refusal,
  socket: Duplex,
  peer: Peer<Exchange>,
  pipeline: Pipeline,
): void {
  const { exchange } = peer;
  if (!socket.writable || exchange?.response.headersSent === true) {
    socket.destroy();
    return;
  }
  const traceId = exchange?.traceId || randomUUID();
  if (exchange === null) {
    const request = new UnreadRequest(refusal, traceId, peer.address);
    pipeline.unread(refusal, request, (outcome) => answer(socket, outcome, traceId));
    return;
  }
  pipeline.brokeOff(exchange, refusal);
  exchange.hold(refusal.status, () => answer(socket, refusal, traceId));
}

function answer(socket: Duplex, refusal: Refusal, traceId: string): void {
  const body = refusalBody(refusal, traceId);
  socket.end(
    `HTTP/1.1 ${refusal.status} ${REASON_PHRASES[refusal.status]}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nX-Trace-Id: ${traceId}\r\nConnection: close\r\n\r\n${body}`,
  );
  // A client that still sends would get a reset and might not see the answer: let it read and leave.
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER);
  socket.once('close', () => clearTimeout(timer));
}

/** What the audit trail learns of a request that could not be read: only where it came from. */
export class UnreadRequest implements AuditSubject {
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
