import type { Config } from './config.ts';

/** Fields whose values are never shown. */
const HIDDEN = /secret|password|keys?$/i;

/** The effective configuration as the log shows it: secrets and passwords masked. */
export function describeConfig(config: Config): Record<string, unknown> {
  const shown = Object.entries(config).map(([name, value]) => [
    name,
    HIDDEN.test(name) && value !== null ? '***' : value,
  ]);
  return {
    ...Object.fromEntries(shown),
    identityKeys: config.identityKeys.map((key) => key.asymmetricKeyType),
    redisUrl: withoutPassword(config.redisUrl),
    auditRedisUrl: withoutPassword(config.auditRedisUrl),
    trustedProxies: config.trustedProxies.rules,
    listening: { ...config.listening, tls: config.listening.tls !== null },
    corsOrigins: [...config.corsOrigins],
    routes: config.routes.map(
      ({ service, prefix, targets }) => `${prefix}/ → ${service} ${targets.join(',')}`,
    ),
    accountRoutes: config.accountRoutes.map(({ prefix }) => prefix),
  };
}

function withoutPassword(url: string | null): string | null {
  return url?.replace(/\/\/[^@/]*@/, '//***@') ?? null;
}
