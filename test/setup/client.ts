import { Agent, type IncomingHttpHeaders, request } from 'node:http';

/** An answer as it came over the wire. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly trailers: NodeJS.Dict<string>;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

const agent = new Agent({ keepAlive: true });

/** One request by `node:http`, which sends what it is told: no normalised paths, no hidden headers. */
export function ask(
  url: string,
  options: {
    method?: string;
    headers?: Record<string, string | string[]>;
    token?: string;
    body?: string | Buffer;
    json?: unknown;
  } = {},
): Promise<Answer> {
  const { origin, port, hostname } = new URL(url);
  const body = options.json === undefined ? options.body : JSON.stringify(options.json);
  return new Promise((resolve, reject) => {
    const message = request(
      {
        agent,
        hostname,
        port,
        path: url.slice(origin.length) || '/',
        method: options.method ?? (body === undefined ? 'GET' : 'POST'),
        headers: {
          ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
          ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
          ...(options.json === undefined ? {} : { 'content-type': 'application/json' }),
          ...options.headers,
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            rawHeaders: response.rawHeaders,
            trailers: response.trailers,
            text,
            json: parse(text),
          });
        });
      },
    );
    message.on('error', reject);
    message.end(body);
  });
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
