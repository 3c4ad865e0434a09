import { networkOf } from './client-network.ts';
import type { Exchange } from './exchange.ts';
import type { SharedBuckets } from './shared-buckets.ts';
import type { Stage } from './stage.ts';
import { ALLOW, refusals, type Verdict } from './verdict.ts';

/** Slows down whoever tries credentials: so many requests per client network. */
export class RateLimit implements Stage {
  readonly name = 'limit';
  readonly #buckets: SharedBuckets;

  constructor(buckets: SharedBuckets) {
    this.#buckets = buckets;
  }

  decide(exchange: Exchange): Verdict | Promise<Verdict> {
    // IAM gets one or none: of several nobody knows which it would read.
    if (exchange.head.authorizationCount > 1) return refusals.badRequest('several_authorizations');
    return this.#pour(networkOf(exchange.clientAddress));
  }

  async #pour(client: string): Promise<Verdict> {
    const wait = await this.#buckets.pour(client);
    return wait === 0 ? ALLOW : refusals.tooManyRequests(wait);
  }
}
