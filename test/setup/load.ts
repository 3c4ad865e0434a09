import { Agent, request } from 'node:http';

/** A request without an answer for so long counts as broken. Milliseconds. */
const TIMEOUT = 5_000;

/** What a load got to see. */
export interface LoadResult {
  /** Answers that came whole, by status. */
  readonly statuses: Readonly<Record<number, number>>;
  /** `X-Trace-Id` of each of them. */
  readonly traceIds: readonly string[];
  /** Requests that got no whole answer: the connection broke. */
  readonly broken: number;
}

/**
 * Sends requests over `connections` kept connections as fast as they are answered, until `wanted` answers
 * came whole or `stop` is aborted.
 */
export async function load(
  url: string,
  options: {
    readonly connections: number;
    readonly wanted?: number;
    readonly headers?: Readonly<Record<string, string>>;
    readonly stop?: AbortSignal;
    /** Told after each whole answer. */
    readonly onAnswer?: (count: number) => void;
  },
): Promise<LoadResult> {
  const { connections, wanted = Number.POSITIVE_INFINITY, headers = {}, stop, onAnswer } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const statuses: Record<number, number> = {};
  const traceIds: string[] = [];
  let [begun, broken] = [0, 0];
  const one = () =>
    new Promise<boolean>((resolve) => {
      const call = request(url, { agent, headers }, (response) => {
        response.on('error', () => resolve(false));
        response.on('close', () => {
          if (!response.complete) return resolve(false);
          statuses[response.statusCode ?? 0] = (statuses[response.statusCode ?? 0] ?? 0) + 1;
          traceIds.push(String(response.headers['x-trace-id']));
          resolve(true);
        });
        response.resume();
      });
      // A connection whose worker was killed may hang.
      call.setTimeout(TIMEOUT, () => call.destroy());
      call.on('error', () => resolve(false)).end();
    });
  const connection = async () => {
    while (begun < wanted && stop?.aborted !== true) {
      begun++;
      if (await one()) {
        onAnswer?.(traceIds.length);
        continue;
      }
      broken++;
      begun--;
      await new Promise((resolve) => setTimeout(resolve, 5)); // whoever answers next is being started
    }
  };
  await Promise.all(Array.from({ length: connections }, connection));
  agent.destroy();
  return { statuses, traceIds, broken };
}
