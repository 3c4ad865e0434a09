import type { Config } from './config.ts';

/** The effective configuration as the start line of the log shows it: secrets and passwords masked. */
export function describeConfig(config: Config): Record<string, unknown> {
  const mask = (url: string | null) => url?.replace(/\/\/[^@/]*@/g, '//***@') ?? null;
  const { trustedProxies: proxies, ...plain } = config;
  return {
    ...plain,
    jwtSecret: '***',
    identityKeys: config.identityKeys.map((key) => key.asymmetricKeyType),
    apiKeyExchangeSecret: config.apiKeyExchangeSecret === null ? null : '***',
    gatewaySecrets: config.gatewaySecrets.map(() => '***'),
    redisUrl: mask(config.redisUrl),
    auditRedisUrl: mask(config.auditRedisUrl),
    trustedProxies: proxies.rules,
    listening: { ...config.listening, tls: config.listening.tls !== null },
    corsOrigins: [...config.corsOrigins],
    routes: config.routes.map(
      ({ service, prefix, targets }) => `${prefix}/ → ${service} ${targets.join(',')}`,
    ),
    accountRoutes: config.accountRoutes.map(({ prefix }) => prefix),
  };
}
