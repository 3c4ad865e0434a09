import { randomBytes } from 'node:crypto';
import { openRedis } from '../redis/open-redis.ts';
import { SandboxHpcEngine } from './hpc-engine.ts';
import type { HttpService, JsonService } from './http-service.ts';
import { SandboxIam } from './iam.ts';
import { startPolicyEngine } from './policy-engine.ts';
import { SERVICE_KEYS, type ServiceKey, startService } from './services.ts';

/** Milliseconds IAM waits for Redis. */
const REDIS_TIMEOUT = 2_000;

export interface PlatformOptions {
  /** Null: no Redis, the gateway runs in embedded mode. */
  readonly redisUrl?: string | null;
  readonly host?: string;
  /** Ports by service (`iam`, `policy`, `hpc`, and the six); free ones without. */
  readonly ports?: Readonly<Record<string, number>>;
  readonly accessLifetime?: number;
  readonly jwtSecret?: string;
  readonly gatewaySecret?: string;
}

/** The whole platform around the gateway, in this process. */
export interface Platform {
  /** What the gateway needs in its environment to find it. */
  readonly env: Readonly<Record<string, string>>;
  readonly iam: SandboxIam;
  readonly policy: JsonService;
  readonly hpc: SandboxHpcEngine;
  readonly services: ReadonlyMap<ServiceKey, HttpService>;
  close(): Promise<void>;
}

/** Starts IAM, both engines and the six services on loopback. */
export async function startPlatform(options: PlatformOptions = {}): Promise<Platform> {
  const jwtSecret = options.jwtSecret ?? randomBytes(32).toString('hex');
  const gatewaySecret = options.gatewaySecret ?? randomBytes(32).toString('hex');
  const apiKeyExchangeSecret = randomBytes(32).toString('hex');
  const redis = options.redisUrl ? openRedis(options.redisUrl, 'sandbox', REDIS_TIMEOUT) : null;
  redis?.on('error', () => {}); // shows as a logout that fails
  const at = (name: string) => ({ host: options.host ?? '127.0.0.1', port: options.ports?.[name] ?? 0 });
  const iam = await SandboxIam.start({
    ...at('iam'),
    jwtSecret,
    redis,
    accessLifetime: options.accessLifetime ?? 900,
    apiKeyExchangeSecret,
  });
  const policy = await startPolicyEngine(at('policy'));
  const hpc = await SandboxHpcEngine.start(at('hpc'));
  const services = new Map<ServiceKey, HttpService>();
  for (const key of SERVICE_KEYS) services.set(key, await startService(key, gatewaySecret, at(key)));
  return {
    env: {
      IAM_URL: iam.url,
      POLICY_URL: policy.url,
      HPC_URL: hpc.url,
      REDIS_URL: options.redisUrl ?? '',
      JWT_SECRET: jwtSecret,
      GATEWAY_SECRET: gatewaySecret,
      API_KEY_EXCHANGE_SECRET: apiKeyExchangeSecret,
      ...Object.fromEntries(
        [...services].map(([key, { url }]) => [`${key.toUpperCase().replace('-', '_')}_URL`, url]),
      ),
    },
    iam,
    policy,
    hpc,
    services,
    close: async () => {
      await Promise.all([iam, policy, hpc, ...services.values()].map((service) => service.close()));
      redis?.disconnect();
    },
  };
}
