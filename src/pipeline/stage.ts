import type { Exchange } from './exchange.ts';
import type { StageName, Verdict } from './verdict.ts';

/**
 * One step of the pipeline. It looks at the exchange, notes what it found out, and decides. It answers at
 * once where it can: a promise costs the hot path more than the decision.
 */
export interface Stage {
  readonly name: StageName;
  decide(exchange: Exchange): Verdict | Promise<Verdict>;
}
