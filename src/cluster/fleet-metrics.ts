import { AggregatorRegistry } from 'prom-client';
import type { Member } from './member.ts';
import type { MetricsReply } from './messages.ts';

/** A scrape does with what a worker said before if it takes longer to answer. Milliseconds. */
const SCRAPE_TIMEOUT = 1_000;

/** A registry as JSON, as far as it matters here. */
type Family = {
  readonly type?: string;
  readonly values?: readonly { readonly labels?: Readonly<Record<string, unknown>> }[];
};

/**
 * The metrics of all workers. Their sums never fall while the gateway runs, whatever becomes of single workers:
 * Prometheus takes a counter that falls for one that began anew and would show a burst that never was. So the last
 * known values stand in for a worker that does not answer, and those of workers that ended are kept.
 */
export class FleetMetrics {
  readonly #latest = new Map<Member, object[]>();
  readonly #scrapes = new Map<number, (member: Member) => void>();
  #departed: object[] = [];
  #scrape = 0;

  /** Takes what a worker sent. */
  heard(member: Member, { id, metrics }: MetricsReply): void {
    this.#latest.set(member, metrics);
    if (id !== null) this.#scrapes.get(id)?.(member);
  }

  /** Keeps the counts of a worker that ended. */
  ended(member: Member): void {
    const last = this.#latest.get(member);
    this.#latest.delete(member);
    const counts = last?.filter((family) => isCount(family)) ?? [];
    // What aggregating gives has the form of what it was given.
    this.#departed = AggregatorRegistry.aggregate([this.#departed, counts]).getMetricsAsArray();
    for (const answered of this.#scrapes.values()) answered(member);
  }

  /** Asks all workers and gives one registry for each, in JSON. Takes a second at most. */
  collect(members: readonly Member[]): Promise<object[][]> {
    const id = this.#scrape++;
    const waiting = new Set(members.filter(({ status }) => status !== null));
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        this.#scrapes.delete(id);
        resolve([this.#departed, ...this.#latest.values()]);
      };
      const timer = setTimeout(finish, SCRAPE_TIMEOUT);
      this.#scrapes.set(id, (member) => {
        waiting.delete(member);
        if (waiting.size === 0) finish();
      });
      for (const member of waiting) member.send({ kind: 'metrics-request', id });
      if (waiting.size === 0) finish();
    });
  }
}

/** Whether a family counts something for the whole gateway, rather than showing a state or one worker's process. */
function isCount({ type, values = [] }: Family): boolean {
  return (
    (type === 'counter' || type === 'histogram') &&
    values.every(({ labels }) => labels === undefined || !('worker' in labels))
  );
}
