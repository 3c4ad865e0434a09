import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A fault a test asks a service to show instead of answering. */
export type Fault =
  | 'hang'
  | 'reset'
  | { readonly status: number; readonly body: string; readonly contentType?: string };

/** One call a service received. */
export interface Call {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
}

/** Answers a JSON call; what it returns is sent with status 200 unless it says otherwise. */
export type JsonHandler = (call: Call) => Reply | Promise<Reply>;

export interface Reply {
  readonly status?: number;
  readonly body: unknown;
}

const MAX_BODY = 1_048_576;
const CALLS_KEPT = 1000;

/** Where a small server listens; port 0 takes a free one. */
export interface Address {
  readonly host?: string;
  readonly port?: number;
}

/** A small HTTP server on loopback, ended with all its connections by {@link HttpService.close}. */
export class HttpService {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
  }

  static async start(
    handler: (request: IncomingMessage, response: ServerResponse) => void,
    { host = '127.0.0.1', port = 0 }: Address = {},
  ): Promise<HttpService> {
    const server = createServer({ keepAliveTimeout: 60_000 }, handler);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
    const bound = (server.address() as AddressInfo).port; // listening on TCP
    return new HttpService(server, `http://127.0.0.1:${bound}`);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

/** A service that answers JSON calls, remembers them, and can be told to fail. */
export class JsonService {
  readonly http: HttpService;
  readonly calls: Call[];
  /** Asked before each call. */
  fault: (path: string) => Fault | undefined = () => undefined;
  /** Milliseconds that an answer, once made, is on its way. */
  latency = 0;

  private constructor(http: HttpService, calls: Call[]) {
    this.http = http;
    this.calls = calls;
  }

  get url(): string {
    return this.http.url;
  }

  /** How often a path was called. */
  count(path: string): number {
    return this.calls.filter((call) => call.path === path).length;
  }

  close(): Promise<void> {
    return this.http.close();
  }

  static async start(handler: JsonHandler, address?: Address): Promise<JsonService> {
    const calls: Call[] = [];
    const holder: { service?: JsonService } = {};
    const http = await HttpService.start((request, response) => {
      serve(request, response, handler, calls, holder.service).catch((error: Error) =>
        response.destroy(error),
      );
    }, address);
    holder.service = new JsonService(http, calls);
    return holder.service;
  }
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  handler: JsonHandler,
  calls: Call[],
  service: JsonService | undefined,
): Promise<void> {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > MAX_BODY) return sendJson(response, 413, { detail: 'too large' });
    chunks.push(chunk);
  }
  const call = {
    method: request.method ?? '',
    path,
    headers: request.headers,
    body: parseJson(Buffer.concat(chunks).toString()),
  };
  calls.push(call);
  if (calls.length > CALLS_KEPT) calls.shift();
  const fault = service?.fault(path);
  if (fault === 'hang') return;
  if (fault === 'reset') return void request.socket.resetAndDestroy();
  if (fault !== undefined) {
    response
      .writeHead(fault.status, { 'content-type': fault.contentType ?? 'application/json' })
      .end(fault.body);
    return;
  }
  const { status = 200, body } = await handler(call);
  if (service !== undefined && service.latency > 0) {
    await new Promise((resolve) => setTimeout(resolve, service.latency));
  }
  sendJson(response, status, body);
}

/** Answers with a JSON document. */
export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response
    .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    .end(text);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The fields of a JSON object; none of anything else. */
export function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}
