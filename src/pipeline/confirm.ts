import type { Exchange } from './exchange.ts';
import type { Stage } from './stage.ts';
import { ALLOW, type Verdict } from './verdict.ts';

/**
 * Authenticates once more where a stage had to ask somebody: an engine may take seconds to answer, and the
 * caller may have been revoked meanwhile. Usually a hit in the cache.
 */
export class Confirm implements Stage {
  readonly name = 'auth';
  readonly #auth: Stage;

  constructor(auth: Stage) {
    this.#auth = auth;
  }

  decide(exchange: Exchange): Verdict | Promise<Verdict> {
    return exchange.waited ? this.#auth.decide(exchange) : ALLOW;
  }
}
