import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { jwtVerify } from 'jose';
import { type Address, HttpService, sendJson } from './http-service.ts';

export const SERVICE_KEYS = ['workbench', 'tes', 'toolserver', 'model-registry', 'rag', 'lims'] as const;
export type ServiceKey = (typeof SERVICE_KEYS)[number];

const TASKS_KEPT = 1000;
const BLOCK = Buffer.alloc(65_536, 'ACGT');

/** One of the platform's services: an echo, a job list, a log stream, a sink and a source of bytes. */
export async function startService(
  name: ServiceKey,
  gatewaySecret: string,
  address?: Address,
): Promise<HttpService> {
  const tasks = new Map<string, object>();
  const secret = new TextEncoder().encode(gatewaySecret);
  return HttpService.start((request, response) => {
    serve(name, tasks, secret, request, response).catch((error: Error) => response.destroy(error));
  }, address);
}

async function serve(
  name: ServiceKey,
  tasks: Map<string, object>,
  secret: Uint8Array,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const denied = await callerFault(request.headers['x-service-token'], name, secret);
  if (denied !== null) return sendJson(response, denied, { detail: 'service token refused' });
  const [path = '/', query = ''] = (request.url ?? '/').split('?', 2);
  const parameters = new URLSearchParams(query);
  if (path === '/')
    return sendJson(response, 200, {
      service: name,
      paths: ['/echo', '/upload', '/download', '/logs', '/v1/tasks'],
    });
  if (path === '/logs') return streamLogs(name, parameters, response);
  if (path === '/upload') return swallow(request, response);
  if (path === '/download') return pour(request, parameters, response);
  if (path === '/cookies') {
    response.setHeader('set-cookie', ['first=1; Path=/', 'second=2; Path=/']);
    return sendJson(response, 200, { cookies: 2 });
  }
  if (path.startsWith('/status/'))
    return sendJson(response, Number(path.slice(8)) || 500, { status: path.slice(8) });
  if (path === '/slow') {
    setTimeout(() => sendJson(response, 200, { slow: true }), Number(parameters.get('ms') ?? 1000));
    return;
  }
  if (path === '/v1/tasks' || path === '/api/runs/submit' || path === '/api/runs') {
    return jobs(tasks, request, response);
  }
  if (path.startsWith('/v1/tasks/')) {
    const task = tasks.get(path.slice('/v1/tasks/'.length));
    return sendJson(response, task === undefined ? 404 : 200, task ?? { detail: 'no such task' });
  }
  return echo(name, request, response);
}

/** The security-sdk's check (contract §7): 401 without a good token, 403 with one for another service. */
async function callerFault(
  token: string | string[] | undefined,
  name: string,
  secret: Uint8Array,
): Promise<number | null> {
  if (typeof token !== 'string') return 401;
  try {
    const { payload } = await jwtVerify(token, secret, { algorithms: ['HS256'] });
    return Array.isArray(payload.aud) && payload.aud.includes(name) ? null : 403;
  } catch {
    return 401;
  }
}

async function echo(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { bytes, sha256 } = await digest(request);
  sendJson(response, 200, {
    service: name,
    method: request.method,
    url: request.url,
    headers: request.headers,
    rawHeaders: request.rawHeaders,
    bytes,
    sha256,
  });
}

async function jobs(
  tasks: Map<string, object>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== 'POST') return sendJson(response, 200, { tasks: [...tasks.values()] });
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  let body: object = {};
  try {
    body = { ...JSON.parse(Buffer.concat(chunks).toString()) };
  } catch {
    return sendJson(response, 422, { detail: 'not JSON' });
  }
  if (tasks.size >= TASKS_KEPT) tasks.clear();
  const task = { id: randomUUID(), state: 'QUEUED', ...body };
  tasks.set(task.id, task);
  sendJson(response, 200, task);
}

function streamLogs(name: string, parameters: URLSearchParams, response: ServerResponse): void {
  const lines = Number(parameters.get('lines') ?? 10);
  const interval = Number(parameters.get('interval') ?? 500);
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  let line = 0;
  const next = () => {
    line++;
    response.write(`id: ${line}\ndata: ${name}: line ${line}\n\n`);
    if (line >= lines) {
      clearInterval(timer);
      response.end();
    }
  };
  const timer = setInterval(next, interval);
  response.on('close', () => clearInterval(timer));
  next();
}

async function swallow(request: IncomingMessage, response: ServerResponse): Promise<void> {
  sendJson(response, 200, await digest(request));
}

function pour(request: IncomingMessage, parameters: URLSearchParams, response: ServerResponse): void {
  const total = Number(parameters.get('bytes') ?? 1024);
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const from = range === null ? 0 : Number(range[1]);
  const to = range?.[2] ? Math.min(Number(range[2]), total - 1) : total - 1;
  const headers = { 'content-type': 'application/octet-stream', 'content-length': to - from + 1 };
  response.writeHead(range === null ? 200 : 206, {
    ...headers,
    ...(range === null ? {} : { 'content-range': `bytes ${from}-${to}/${total}` }),
  });
  let position = from;
  const more = () => {
    while (position <= to) {
      const offset = position % BLOCK.length;
      const chunk = BLOCK.subarray(offset, Math.min(BLOCK.length, offset + to - position + 1));
      position += chunk.length;
      if (!response.write(chunk)) return;
    }
    response.end();
  };
  response.on('drain', more);
  more();
}

async function digest(request: IncomingMessage): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of request) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}
