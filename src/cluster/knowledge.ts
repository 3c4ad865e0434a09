import { RecordSeal } from '../cache/record-seal.ts';
import { type ChannelState, RevocationChannel, WindowTrust } from '../cache/revocation-channel.ts';
import { Revocations } from '../cache/revocations.ts';
import { SharedStore } from '../cache/shared-store.ts';
import { TwoTierCache } from '../cache/two-tier-cache.ts';
import { Watermarks } from '../cache/watermarks.ts';
import type { Config } from '../config/config.ts';
import type { KeyResult } from '../pipeline/api-key-auth.ts';
import type { AuthResult } from '../pipeline/auth.ts';
import type { Decision } from '../platform/policy-engine.ts';
import { openRedis, type RedisClient } from '../redis/open-redis.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** A command unanswered for longer is given up; the request goes on without Redis. Milliseconds. */
const REDIS_COMMAND_TIMEOUT = 100;

/**
 * The part of `REVOCATION_BOUND` for which knowledge is good while nobody tells of revocations; the rest is
 * for asking again and for looking after what is open.
 */
const WINDOW_SHARE = 2 / 3;

/** All that a worker knows about callers, and what keeps it true. */
export interface Knowledge {
  readonly identities: TwoTierCache<AuthResult>;
  /** API keys. */
  readonly exchanges: TwoTierCache<KeyResult>;
  readonly decisions: TwoTierCache<Decision>;
  readonly revocations: Revocations;
  /** Null: embedded mode. */
  readonly redis: RedisClient | null;
  channelState(): ChannelState | 'embedded';
  close(): void;
}

/** Builds the caches over Redis, or over nothing in embedded mode. */
export function openKnowledge(config: Config, metrics: Metrics, log: Logger): Knowledge {
  const { redisUrl, revocationBound } = config;
  const redis = redisUrl === null ? null : openRedis(redisUrl, 'cache', REDIS_COMMAND_TIMEOUT);
  redis?.on('error', (error) => log.debug({ error: error.message }, 'redis'));
  const shared = redis === null ? null : new SharedStore(redis, new RecordSeal(config.jwtSecret));
  const marks = new Watermarks();
  const revocations = new Revocations(marks, shared, (kind, seconds) => metrics.revoked(kind, seconds));
  const window = revocationBound * WINDOW_SHARE;
  const channel =
    redis === null || redisUrl === null
      ? null
      : new RevocationChannel(redis, redisUrl, window, {
          onRevocation: (revocation) => revocations.apply(revocation),
          onUp: () => {
            marks.epoch++;
            revocations.onOutdated();
          },
        });
  const tiers = { max: config.cacheMax, marks, shared, trust: channel ?? new WindowTrust(window) };
  const identities = new TwoTierCache<AuthResult>({
    ...tiers,
    kind: 'identity',
    ttl: config.identityCacheTtl,
    maxAge: config.identityRefresh,
  });
  // An exchange holds a token, so it stays in this process.
  const exchanges = new TwoTierCache<KeyResult>({
    ...tiers,
    shared: null,
    kind: 'exchange',
    ttl: config.identityCacheTtl,
    maxAge: config.identityRefresh,
  });
  const decisions = new TwoTierCache<Decision>({ ...tiers, kind: 'decision', ttl: config.policyCacheTtl });
  metrics.caches([
    { name: 'identity', counts: identities.counts, rechecks: identities.rechecks },
    { name: 'exchange', counts: exchanges.counts, rechecks: exchanges.rechecks },
    { name: 'decision', counts: decisions.counts, rechecks: decisions.rechecks },
  ]);
  const channelState = () => channel?.state ?? 'embedded';
  metrics.gauge(
    'gateway_revocation_channel_up',
    'Whether revocations are known to arrive (1) or not (0)',
    () => (['live', 'degraded'].includes(channelState()) ? 1 : 0),
  );
  metrics.gauge(
    'gateway_revocation_tracking',
    'Whether Redis pushes writes to the blacklist (1) or not (0)',
    () => (channelState() === 'live' ? 1 : 0),
  );
  return {
    identities,
    exchanges,
    decisions,
    revocations,
    redis,
    channelState,
    close: () => {
      channel?.close();
      redis?.disconnect();
    },
  };
}
