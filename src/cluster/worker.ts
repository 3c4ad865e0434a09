import cluster from 'node:cluster';
import { AuditTrail } from '../audit/trail.ts';
import type { Config } from '../config/config.ts';
import { Audit } from '../pipeline/audit.ts';
import { Auth } from '../pipeline/auth.ts';
import { AuthCookie } from '../pipeline/auth-cookie.ts';
import { Blacklist } from '../pipeline/blacklist.ts';
import { Hpc } from '../pipeline/hpc.ts';
import { LiveConnections } from '../pipeline/live-connections.ts';
import { Pipeline } from '../pipeline/pipeline.ts';
import { Policy } from '../pipeline/policy.ts';
import { UpstreamHeaders } from '../pipeline/upstream-headers.ts';
import { EngineClient } from '../platform/engine-client.ts';
import { HpcEngine } from '../platform/hpc-engine.ts';
import { Iam } from '../platform/iam.ts';
import { KeySet } from '../platform/key-set.ts';
import { PolicyEngine } from '../platform/policy-engine.ts';
import { ServiceCallers } from '../platform/service-callers.ts';
import { ServiceTokens } from '../platform/service-token.ts';
import { TokenVerifier } from '../platform/token-verifier.ts';
import { registerAuditMeters } from '../telemetry/audit-meters.ts';
import { createLogger, type Logger } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { Forwarder } from '../upstream/forwarder.ts';
import { RouteTable } from '../upstream/route-table.ts';
import { GatewayServer } from './gateway-server.ts';
import { type Knowledge, openKnowledge } from './knowledge.ts';
import { isDrainRequest, isMetricsRequest, type WorkerStatus } from './messages.ts';

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

  static async start(config: Config): Promise<void> {
    const name = String(cluster.worker?.id ?? process.pid);
    const log = createLogger(config.logLevel, `worker-${name}`);
    const metrics = new Metrics(name);

    const knowledge = openKnowledge(config, metrics, log);
    const engines: Record<string, string> = {};
    const dead = new Map<string, () => boolean>();
    const engine = (key: string, url: string, timeout: number) => {
      engines[key] = 'unknown';
      const client = new EngineClient(url, timeout, (seconds, result) => {
        engines[key] = result;
        metrics.engineAsked(key, result, seconds);
      });
      dead.set(key, () => client.isDead);
      return client;
    };
    const iam = engine('iam', config.iamUrl, config.iamTimeout);
    const policyEngine = engine('policy', config.policyUrl, config.policyTimeout);
    const hpcEngine = engine('hpc', config.hpcUrl, config.hpcTimeout);
    metrics.engineBreakers(dead);
    const keySet = new KeySet(config.jwksUrl, config.iamTimeout, (seconds, result) =>
      metrics.engineAsked('jwks', result, seconds),
    );
    const verifier = new TokenVerifier({
      jwtSecret: config.jwtSecret,
      keySet,
      issuer: config.issuer,
      audience: config.audience,
    });
    const cookie = config.authCookie === null ? null : new AuthCookie(config.authCookie, config.corsOrigins);
    const serviceTokens = await ServiceTokens.start(
      config.gatewaySecrets[0],
      config.routes.map((route) => route.service),
    );

    const trail =
      config.auditMode === 'off'
        ? null
        : await AuditTrail.open(
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
            (message, fields) => log.error(fields, message),
          );
    if (trail !== null) registerAuditMeters(metrics.registry, trail);
    const forwarder = new Forwarder(config.routes, config, {
      failed: (service, kind) => metrics.upstreamFailed(service, kind),
      retried: (service, result) => metrics.upstreamRetried(service, result),
      moved: (service, { url, standing, lastFault }) => {
        metrics.upstreamMoved(service, url, standing);
        log.warn({ upstream: service, target: url, standing, lastFault }, 'upstream target moved');
      },
    });
    metrics.upstreams(forwarder.services);
    const auth = new Auth({
      cache: knowledge.identities,
      authorities: { verifier, iam: new Iam(iam), blacklist: new Blacklist(knowledge.redis) },
      serviceAccounts: config.serviceAccounts,
      callers: new ServiceCallers(config.gatewaySecrets),
      cookie,
    });
    const pipeline = new Pipeline({
      auth,
      policy: new Policy(knowledge.decisions, new PolicyEngine(policyEngine)),
      hpc: new Hpc(new HpcEngine(hpcEngine), config.cacheMax),
      audit: new Audit(trail),
      routes: new RouteTable(config.routes),
      forwarder,
      upstreamHeaders: new UpstreamHeaders(serviceTokens, cookie),
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
    const server = new GatewayServer(pipeline, config);
    const live = new LiveConnections(auth, () => pipeline.exchanges, {
      bound: config.revocationBound,
      grace: config.liveGrace,
    });
    knowledge.revocations.onOutdated = () => live.lookSoon();
    metrics.gauge('gateway_open_connections', 'Client connections', () => server.connections);

    const worker = new Worker({
      log,
      server,
      knowledge,
      engines,
      forwarder,
      closeAll: async () => {
        serviceTokens.close();
        await trail?.close();
        await Promise.all([forwarder.close(), iam.close(), policyEngine.close(), hpcEngine.close()]);
        live.close();
        knowledge.close();
      },
    });
    // What this process knows is written down before it ends; its successor ships it.
    process.on('uncaughtException', (error) => {
      log.fatal({ err: error }, 'worker cannot go on');
      pipeline.abandon();
      trail?.flushSync();
      process.exit(1);
    });
    worker.#listenToPrimary(metrics, config.drainTimeout);
    await server.listen(config.host, config.port);
    worker.#report();
    setInterval(() => worker.#report(), STATUS_INTERVAL).unref();
  }

  #listenToPrimary(metrics: Metrics, drainTimeout: number): void {
    process.on('message', (message) => {
      if (isDrainRequest(message)) void this.#drain(drainTimeout);
      else if (isMetricsRequest(message)) void this.#sendMetrics(metrics, message.id);
    });
    // The primary decides; a terminal's Ctrl-C reaches every process of the group.
    process.on('SIGINT', () => {});
    process.on('SIGTERM', () => void this.#drain(drainTimeout));
    process.on('disconnect', () => void this.#drain(drainTimeout));
  }

  #report(): void {
    const status: WorkerStatus = {
      kind: 'status',
      accepting: !this.#draining,
      redis: this.#knowledge.redis?.status ?? 'embedded',
      revocations: this.#knowledge.channelState(),
      engines: this.#engines,
      upstreams: this.#forwarder.standings(),
    };
    process.send?.(status);
  }

  async #sendMetrics(metrics: Metrics, id: number): Promise<void> {
    process.send?.({ kind: 'metrics', id, metrics: await metrics.registry.getMetricsAsJSON() });
  }

  async #drain(timeout: number): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    this.#report();
    const cut = await this.#server.drain(timeout);
    if (cut > 0) this.#log.warn({ connections: cut }, 'connections were cut at the end of DRAIN_TIMEOUT');
    await this.#closeAll();
    process.exit(0);
  }
}
