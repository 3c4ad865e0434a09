import { randomUUID } from 'node:crypto';
import { HolderKeys } from '../cache/keys.ts';
import type { Identity } from '../platform/identity.ts';
import type { RedisClient } from '../redis/open-redis.ts';
import type { Exchange } from './exchange.ts';
import type { Stage } from './stage.ts';
import { ALLOW, refusals, type Verdict } from './verdict.ts';

/** A place whose process died comes free after so long. Milliseconds. */
const LEASE = 30_000;

/** Takes a place unless all are taken: one member for each, scored by the end of its lease. */
const TAKE = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1`;

/** Renews leases, also of places that Redis has forgotten. */
const RENEW = `
local t = redis.call('TIME')
local ends = t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[1]
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], ends, ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])`;

/**
 * How many sockets may one caller hold open? A place is taken with the yes and given back at the end. Workers
 * and replicas count together through Redis; while it is away, each process counts its own.
 */
export class SocketLimit implements Stage {
  readonly name = 'upgrade';
  readonly #max: number;
  readonly #redis: RedisClient | null;
  /** Names of the places held in this process, by the key of their caller. */
  readonly #held = new Map<string, Set<string>>();
  readonly #renewal: NodeJS.Timeout;

  /** @param redis null: embedded mode, each process counts its own */
  constructor(max: number, redis: RedisClient | null) {
    this.#max = max;
    this.#redis = redis;
    this.#renewal = setInterval(() => this.#renew(), LEASE / 3);
    this.#renewal.unref();
  }

  decide({ identity, callerService, upgrade }: Exchange): Verdict | Promise<Verdict> {
    if (identity === null || upgrade === null) return refusals.internal('upgrade');
    const key = keyOf(identity, callerService);
    const held = this.#held.get(key) ?? new Set();
    if (held.size >= this.#max) return refusals.tooManySockets;
    const place = randomUUID();
    this.#held.set(key, held.add(place));
    upgrade.release = () => this.#giveBack(key, place);
    return this.#redis?.status === 'ready' ? this.#takeShared(this.#redis, key, place) : ALLOW;
  }

  close(): void {
    clearInterval(this.#renewal);
  }

  async #takeShared(redis: RedisClient, key: string, place: string): Promise<Verdict> {
    try {
      const taken = await redis.eval(TAKE, 1, key, LEASE, this.#max, place);
      return taken === 0 ? refusals.tooManySockets : ALLOW;
    } catch {
      return ALLOW; // refused or not answered in time: this process has a count of its own
    }
  }

  #giveBack(key: string, place: string): void {
    const held = this.#held.get(key);
    if (held?.delete(place) && held.size === 0) this.#held.delete(key);
    // Where Redis does not hear it, the lease ends.
    if (this.#redis?.status === 'ready') this.#redis.zrem(key, place).catch(() => {});
  }

  #renew(): void {
    if (this.#redis?.status !== 'ready') return;
    for (const [key, places] of this.#held) {
      this.#redis.eval(RENEW, 1, key, LEASE, ...places).catch(() => {}); // the next one may be heard
    }
  }
}

/** One person, client or service, whatever tokens they hold. */
function keyOf({ facts }: Identity, callerService: string | null): string {
  const caller = JSON.stringify(['sockets', facts.userId, facts.clientId, callerService]);
  return new HolderKeys(caller).record('sockets', 'open');
}
