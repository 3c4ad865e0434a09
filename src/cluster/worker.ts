import cluster from 'node:cluster';
import type { AuditThread } from '../audit/audit-thread.ts';
import { AuditTrail } from '../audit/trail.ts';
import type { Config } from '../config/config.ts';
import { ApiKeyAuth } from '../pipeline/api-key-auth.ts';
import { Audit } from '../pipeline/audit.ts';
import { Auth } from '../pipeline/auth.ts';
import { AuthCookie } from '../pipeline/auth-cookie.ts';
import { Blacklist } from '../pipeline/blacklist.ts';
import { Cors } from '../pipeline/cors.ts';
import { Hpc } from '../pipeline/hpc.ts';
import { TEN_A_MINUTE } from '../pipeline/leaky-bucket.ts';
import { LiveConnections } from '../pipeline/live-connections.ts';
import { Pipeline } from '../pipeline/pipeline.ts';
import { Policy } from '../pipeline/policy.ts';
import { RateLimit } from '../pipeline/rate-limit.ts';
import { SharedBuckets } from '../pipeline/shared-buckets.ts';
import { SocketLimit } from '../pipeline/socket-limit.ts';
import { Upgrades } from '../pipeline/upgrades.ts';
import { UpstreamHeaders } from '../pipeline/upstream-headers.ts';
import { ApiKeys } from '../platform/api-keys.ts';
import { EngineClient } from '../platform/engine-client.ts';
import { HpcEngine } from '../platform/hpc-engine.ts';
import { Iam } from '../platform/iam.ts';
import { IdentityAssertions } from '../platform/identity-assertions.ts';
import { KeySet } from '../platform/key-set.ts';
import { PolicyEngine } from '../platform/policy-engine.ts';
import { ServiceCallers } from '../platform/service-callers.ts';
import { ServiceTokens } from '../platform/service-token.ts';
import { TokenVerifier } from '../platform/token-verifier.ts';
import { registerAuditMeters } from '../telemetry/audit-meters.ts';
import { createLogger, type Logger } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { DeliveryWatch } from '../upstream/delivery-watch.ts';
import { Forwarder } from '../upstream/forwarder.ts';
import { RouteTable } from '../upstream/route-table.ts';
import { GatewayServer } from './gateway-server.ts';
import { type Knowledge, openKnowledge } from './knowledge.ts';
import { isToWorker, type ToPrimary } from './messages.ts';

const STATUS_INTERVAL = 1_000;

/** One process that serves clients. {@link Worker.start} is the wiring diagram: everything is built there. */
export class Worker {
  readonly #log: Logger;
  readonly #server: GatewayServer;
  readonly #knowledge: Knowledge;
  readonly #engines: Record<string, string>;
  readonly #forwarder: Forwarder;
  /** Closed in this order once the last answer is out. */
  readonly #closeAll: () => Promise<void>;
  #draining = false;

  private constructor(parts: {
    log: Logger;
    server: GatewayServer;
    knowledge: Knowledge;
    engines: Record<string, string>;
    forwarder: Forwarder;
    closeAll: () => Promise<void>;
  }) {
    this.#log = parts.log;
    this.#server = parts.server;
    this.#knowledge = parts.knowledge;
    this.#engines = parts.engines;
    this.#forwarder = parts.forwarder;
    this.#closeAll = parts.closeAll;
  }

  /** @param auditThread on its way, so that it loads while the rest does */
  static async start(config: Config, auditThread: AuditThread): Promise<void> {
    const name = String(cluster.worker?.id ?? process.pid);
    const log = createLogger(config.logLevel, `worker-${name}`);
    const metrics = new Metrics(name);

    const trail =
      config.auditMode === 'off'
        ? null
        : new AuditTrail(
            {
              redisUrl: config.auditRedisUrl,
              jwtSecret: config.jwtSecret,
              stateDir: config.stateDir,
              strict: config.auditMode === 'strict',
              flushInterval: config.auditFlushInterval,
              backlogMax: config.auditBacklogMax,
              spoolMax: config.auditSpoolMax,
              retention: config.auditRetention,
            },
            auditThread,
            (message, fields) => log.error(fields, message),
          );
    if (trail === null) await auditThread.close();
    const knowledge = openKnowledge(config, metrics, log);
    const engines: Record<string, string> = {};
    const clients = new Map<string, EngineClient>();
    const engine = (key: string, url: string, timeout: number) => {
      engines[key] = 'unknown';
      const client = new EngineClient(url, timeout, (seconds, result) => {
        engines[key] = result;
        metrics.engineAsked(key, result, seconds);
      });
      clients.set(key, client);
      return client;
    };
    const iam = engine('iam', config.iamUrl, config.iamTimeout);
    const policyEngine = engine('policy', config.policyUrl, config.policyTimeout);
    const hpcEngine = engine('hpc', config.hpcUrl, config.hpcTimeout);
    const { origin, pathname } = new URL(config.jwksUrl);
    const keySet = new KeySet(engine('jwks', origin, config.iamTimeout), pathname);
    metrics.engineBreakers(clients);
    const verifier = new TokenVerifier({
      jwtSecret: config.jwtSecret,
      keySet,
      issuer: config.issuer,
      audience: config.audience,
    });
    const cookie = config.authCookie === null ? null : new AuthCookie(config.authCookie, config.corsOrigins);
    const assertions = await IdentityAssertions.open(config.identityKeys);
    const serviceTokens = await ServiceTokens.start(
      config.gatewaySecrets[0],
      config.routes.map((route) => route.service),
    );

    if (trail !== null) registerAuditMeters(metrics.registry, trail);
    const forwarder = new Forwarder([...config.routes, ...config.accountRoutes], config, {
      failed: (service, kind) => metrics.upstreamFailed(service, kind),
      retried: (service, result) => metrics.upstreamRetried(service, result),
      moved: (service, { url, standing, lastFault }) => {
        metrics.upstreamMoved(service, url, standing);
        log.warn({ upstream: service, target: url, standing, lastFault }, 'upstream target moved');
      },
    });
    metrics.upstreams(forwarder.services);
    const authorities = { verifier, iam: new Iam(iam), blacklist: new Blacklist(knowledge.redis) };
    const auth = new Auth({
      cache: knowledge.identities,
      authorities,
      serviceAccounts: config.serviceAccounts,
      callers: new ServiceCallers(config.gatewaySecrets),
      apiKeys: new ApiKeyAuth({
        ...knowledge,
        apiKeys: new ApiKeys(iam, config.apiKeyExchangeSecret),
        authorities,
      }),
      cookie,
    });
    const live = new LiveConnections(auth, () => pipeline.exchanges, {
      bound: config.revocationBound,
      grace: config.liveGrace,
    });
    knowledge.revocations.onOutdated = () => live.lookSoon();
    const audit = new Audit(trail);
    const routes = new RouteTable(config.routes);
    const socketLimit = new SocketLimit(config.maxSocketsPerIdentity, knowledge.redis);
    const upgrades = new Upgrades({
      routes,
      idleTimeout: config.streamIdleTimeout,
      live,
      audit,
      onClosed: (service, end) => metrics.upgradeClosed(service, end),
    });
    const pipeline = new Pipeline({
      auth,
      policy: new Policy(knowledge.decisions, new PolicyEngine(policyEngine)),
      hpc: new Hpc(new HpcEngine(hpcEngine), config.cacheMax),
      socketLimit,
      audit,
      routes,
      accounts:
        config.accountRoutes.length === 0
          ? null
          : {
              limit: new RateLimit(
                new SharedBuckets(knowledge.redis, TEN_A_MINUTE, (store, result) =>
                  metrics.limited(store, result),
                ),
              ),
              routes: new RouteTable(config.accountRoutes),
            },
      forwarder,
      upstreamHeaders: new UpstreamHeaders(serviceTokens, assertions, cookie),
      jwks: assertions.jwks,
      cors: config.corsOrigins.size === 0 ? null : new Cors(config.corsOrigins),
      observer: {
        refused: ({ stage, cause }) => metrics.refused(stage, cause),
        finished: (exchange) =>
          metrics.requests.observe(
            exchange.routeService ?? 'gateway',
            exchange.method,
            exchange.statusCode,
            exchange.latencyMs / 1000,
          ),
      },
      log: (error, stage, traceId) => log.error({ err: error, stage, traceId }, 'stage failed'),
    });
    const deliveries = new DeliveryWatch(pipeline.exchanges);
    const server = new GatewayServer(pipeline, upgrades, config, (reason) => metrics.connectionCut(reason));
    metrics.gauge('gateway_open_connections', 'Client connections', () => server.connections);
    metrics.gauge('gateway_open_upgrades', 'WebSockets and other upgraded connections', () => upgrades.size);
    metrics.gauge(
      'gateway_load_shed_ratio',
      'Share of requests refused because the event loop lags',
      () => server.shedShare,
    );

    const worker = new Worker({
      log,
      server,
      knowledge,
      engines,
      forwarder,
      closeAll: async () => {
        serviceTokens.close();
        await trail?.close();
        await Promise.all([forwarder.close(), ...clients.values().map((client) => client.close())]);
        deliveries.close();
        live.close();
        socketLimit.close();
        knowledge.close();
      },
    });
    // What this process knows is written down before it ends; its successor ships it.
    process.on('uncaughtException', (error) => {
      log.fatal({ err: error }, 'worker cannot go on');
      pipeline.abandon();
      upgrades.abandon();
      trail?.flushSync();
      process.exit(1);
    });
    worker.#listenToPrimary(metrics, config.drainTimeout);
    await trail?.opened;
    await server.listen(config.host, config.port);
    worker.#report();
    setInterval(() => worker.#report(), STATUS_INTERVAL).unref();
  }

  #listenToPrimary(metrics: Metrics, drainTimeout: number): void {
    const drain = (stopping: boolean) => void this.#drain(metrics, drainTimeout, stopping);
    process.on('message', (message) => {
      if (!isToWorker(message)) return;
      if (message.kind === 'drain') {
        this.#server.drainIdle = message.idle;
        drain(message.stopping);
      }
      if (message.kind === 'metrics-request') void this.#sendMetrics(metrics, message.id);
    });
    // The primary decides; a terminal's signals reach every process of the group.
    process.on('SIGINT', () => {});
    process.on('SIGHUP', () => {});
    process.on('SIGTERM', () => drain(false));
    process.on('disconnect', () => drain(true));
  }

  #report(): void {
    this.#tell({
      kind: 'status',
      accepting: !this.#draining,
      redis: this.#knowledge.redis?.status ?? 'embedded',
      revocations: this.#knowledge.channelState(),
      engines: this.#engines,
      upstreams: this.#forwarder.standings(),
    });
  }

  async #sendMetrics(metrics: Metrics, id: number | null): Promise<void> {
    try {
      await this.#tell({ kind: 'metrics', id, metrics: await metrics.registry.getMetricsAsJSON() });
    } catch (error) {
      this.#log.error({ err: error }, 'metrics cannot be read');
    }
  }

  /** Resolves once the message is on its way, or cannot be: without a primary there is nobody to tell. */
  #tell(message: ToPrimary): Promise<void> {
    return new Promise((resolve) => {
      if (process.send === undefined || !process.connected) resolve();
      else process.send(message, undefined, undefined, () => resolve());
    });
  }

  async #drain(metrics: Metrics, timeout: number, stopping: boolean): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    this.#report();
    const cut = await this.#server.drain(timeout, stopping);
    if (cut > 0) this.#log.warn({ connections: cut }, 'connections were cut at the end of DRAIN_TIMEOUT');
    await this.#closeAll();
    await this.#sendMetrics(metrics, null);
    process.exit(0);
  }
}
