import {
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhenResult,
  isBrokenCircuitError,
} from 'cockatiel';
import { Pool } from 'undici';

/** An answer of a decision service is a few hundred bytes; one far larger is not an answer. Bytes. */
const MAX_ANSWER_BYTES = 1_048_576;

/** After so many tries in a row without an answer the engine counts as dead. */
const DEAD_AFTER = 10;

/** A dead engine is tried again after so long, by one request at a time. Milliseconds. */
const PROBE_AFTER = 1_000;

/** Connections to one engine at most; further questions wait for one, within their time. */
const MAX_CONNECTIONS = 256;

/** Why an engine could not be asked: no answer in time, a connection fault, or an answer that is none. */
export type EngineFault = 'timeout' | 'unavailable' | 'error';

/**
 * What asking an engine gave: the JSON it answered with status 200, or why there is none, with the status of
 * an answer that had another one.
 */
export type EngineAnswer =
  | { readonly body: unknown }
  | { readonly fault: EngineFault; readonly status?: number };

const UNAVAILABLE: EngineAnswer = { fault: 'unavailable' };

/** Whether the engine gave no answer at all; a wrong answer is one. */
function isOutage(answer: unknown): boolean {
  const fault = typeof answer === 'object' && answer !== null && 'fault' in answer ? answer.fault : null;
  return fault === 'timeout' || fault === 'unavailable';
}

/** What an engine is asked. */
interface Question {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

/** Told of each question: how long it took and how it ended. */
export type EngineObserver = (seconds: number, result: 'ok' | EngineFault) => void;

/**
 * Asks one decision service over kept connections. A question gets one second try after a connection fault
 * or a timeout, because engines only read; nothing but status 200 with JSON counts as an answer. A dead
 * engine is not waited for: until a probe gets through, questions are answered `unavailable` at once.
 */
export class EngineClient {
  readonly #pool: Pool;
  readonly #basePath: string;
  readonly #timeout: number;
  readonly #observe: EngineObserver;
  readonly #breaker = circuitBreaker(handleWhenResult(isOutage), {
    halfOpenAfter: PROBE_AFTER,
    breaker: new ConsecutiveBreaker(DEAD_AFTER),
  });

  /**
   * @param url base URL of the service
   * @param timeout milliseconds for one try, from connecting to the last byte of the answer
   */
  constructor(url: string, timeout: number, observe: EngineObserver) {
    const { origin, pathname } = new URL(url);
    this.#basePath = pathname === '/' ? '' : pathname;
    this.#timeout = timeout;
    this.#observe = observe;
    this.#pool = new Pool(origin, {
      connections: MAX_CONNECTIONS,
      connect: { timeout },
      keepAliveTimeout: 30_000,
      allowH2: false,
    });
  }

  /** Posts a JSON document. Never throws. */
  async post(
    path: string,
    document: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<EngineAnswer> {
    return this.#ask({
      method: 'POST',
      path,
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(document),
    });
  }

  /** Gets a JSON document. Never throws. */
  async get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<EngineAnswer> {
    return this.#ask({ method: 'GET', path, headers, body: null });
  }

  /** Closes the connections, those in use as well. */
  close(): Promise<void> {
    return this.#pool.destroy();
  }

  async #ask(question: Question): Promise<EngineAnswer> {
    const first = await this.#unlessDead(question);
    if (!isOutage(first) || this.#breaker.state !== CircuitState.Closed) return first;
    return this.#unlessDead(question);
  }

  /** Whether the engine is given up for the moment. */
  get isDead(): boolean {
    return this.#breaker.state !== CircuitState.Closed;
  }

  async #unlessDead(question: Question): Promise<EngineAnswer> {
    // The breaker would make everybody wait for the probe that is under way.
    if (this.#breaker.state === CircuitState.HalfOpen) return UNAVAILABLE;
    try {
      return await this.#breaker.execute(() => this.#try(question));
    } catch (error) {
      if (isBrokenCircuitError(error)) return UNAVAILABLE;
      throw error;
    }
  }

  async #try(question: Question): Promise<EngineAnswer> {
    const startedAt = performance.now();
    const answer = await this.#exchange(question);
    this.#observe((performance.now() - startedAt) / 1000, 'fault' in answer ? answer.fault : 'ok');
    return answer;
  }

  async #exchange({ method, path, headers, body }: Question): Promise<EngineAnswer> {
    const signal = AbortSignal.timeout(this.#timeout);
    try {
      const response = await this.#pool.request({
        method,
        path: this.#basePath + path,
        headers,
        body,
        signal,
      });
      if (response.statusCode !== 200) {
        await response.body.dump({ limit: MAX_ANSWER_BYTES, signal });
        return { fault: 'error', status: response.statusCode };
      }
      const chunks: Buffer[] = [];
      let length = 0;
      for await (const chunk of response.body) {
        length += chunk.length;
        if (length > MAX_ANSWER_BYTES) return { fault: 'error' };
        chunks.push(chunk);
      }
      return { body: JSON.parse(Buffer.concat(chunks).toString()) };
    } catch (error) {
      if (signal.aborted) return { fault: 'timeout' };
      if (error instanceof SyntaxError) return { fault: 'error' };
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      return { fault: code === 'UND_ERR_CONNECT_TIMEOUT' ? 'timeout' : 'unavailable' };
    }
  }
}
