import { Client } from 'undici';
import type { HealthCheck } from '../config/routes.ts';
import type { UpstreamService } from './service.ts';
import type { Target } from './target.ts';

/** Longest time for one check. Milliseconds. */
const TIMEOUT = 5_000;

/** Checks in a row that must fail before a target is taken out. */
const FAILURES = 2;

/** Asks each target of a service from time to time whether it is well: status 200 to 399 is a yes. */
export class HealthChecks {
  readonly #service: UpstreamService;
  readonly #check: HealthCheck;
  readonly #failures = new Map<Target, number>();
  readonly #asked = new Set<Target>();
  /** A connection of its own for each check, so that it takes none from the traffic and resolves the name anew. */
  readonly #clients: ReadonlyMap<Target, Client>;
  readonly #timer: NodeJS.Timeout;

  constructor(service: UpstreamService, check: HealthCheck) {
    this.#service = service;
    this.#check = check;
    this.#clients = new Map(
      service.targets.map((target) => [
        target,
        new Client(target.origin, { connect: target.connect, allowH2: false, pipelining: 0 }),
      ]),
    );
    this.#timer = setInterval(() => this.#askAll(), check.interval);
    this.#timer.unref();
    this.#askAll();
  }

  close(): void {
    clearInterval(this.#timer);
    for (const client of this.#clients.values()) void client.destroy();
  }

  #askAll(): void {
    for (const [target, client] of this.#clients) void this.#ask(target, client);
  }

  async #ask(target: Target, client: Client): Promise<void> {
    if (this.#asked.has(target)) return; // a slow answer is waited for, not overtaken
    this.#asked.add(target);
    const isWell = await this.#isWell(target, client);
    this.#asked.delete(target);
    const failures = isWell ? 0 : (this.#failures.get(target) ?? 0) + 1;
    this.#failures.set(target, failures);
    if (isWell || failures >= FAILURES) this.#service.checked(target, isWell);
  }

  async #isWell(target: Target, client: Client): Promise<boolean> {
    try {
      const answer = await client.request({
        method: 'GET',
        path: target.basePath + this.#check.path,
        headers: { 'x-internal-service': 'gateway' },
        signal: AbortSignal.timeout(TIMEOUT),
      });
      await answer.body.dump({ limit: 65_536, signal: AbortSignal.timeout(TIMEOUT) });
      return answer.statusCode >= 200 && answer.statusCode < 400;
    } catch {
      return false; // what went wrong is the target's affair; that it did is the answer
    }
  }
}
