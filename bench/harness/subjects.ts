import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../test/setup/free-port.ts';
import { ServerProcess } from './server-process.ts';
import type { Surroundings } from './surroundings.ts';

const fileOf = (path: string) => new URL(path, import.meta.url).pathname;

/** A server that can be measured. */
export interface Subject {
  readonly title: string;
  /** Rejects with {@link Absent} where it cannot be had on this machine. */
  start(around: Surroundings): Promise<ServerProcess>;
}

/** Why a peer takes no part. */
export class Absent extends Error {}

/**
 * The gateway as its users start it, one worker unless told otherwise.
 * @param options.main the program; another copy of it for the gate's own test
 * @param options.cores which cores it may use instead of the measured server's one
 */
export function gateway(
  title: string,
  env: Readonly<Record<string, string>> = {},
  options: { main?: string; cores?: 'all'; routes?: number } = {},
): Subject {
  return {
    title,
    async start(around) {
      const port = await freePort();
      const lean = around.urlOf('upstream');
      const services = around.urlOf('services');
      const routesFile =
        options.routes === undefined ? {} : { ROUTES_FILE: routesOf(options.routes, around) };
      return ServerProcess.start([process.execPath, options.main ?? fileOf('../../src/start.js')], {
        port,
        cores: options.cores === 'all' ? undefined : around.pinning?.server,
        env: {
          NODE_ENV: 'production',
          HOST: '127.0.0.1',
          PORT: String(port),
          ADMIN_PORT: String(await freePort()),
          WORKERS: '1',
          LOG_LEVEL: 'error',
          STATE_DIR: mkdtempSync(join(around.folder, 'state-')),
          REDIS_URL: `redis://127.0.0.1:${around.portOf('redis')}`,
          JWT_SECRET: around.secret,
          GATEWAY_SECRET: around.secret.toUpperCase(),
          IAM_URL: around.urlOf('decisions'),
          POLICY_URL: around.urlOf('decisions'),
          HPC_URL: around.urlOf('decisions'),
          LIMS_URL: lean,
          WORKBENCH_URL: lean,
          TES_URL: services,
          RAG_URL: services,
          ...routesFile,
          ...env,
        },
      });
    },
  };
}

/** A table of `count` routes; the last is the one that is asked for. */
function routesOf(count: number, around: Surroundings): string {
  const target = around.urlOf('upstream');
  const routes = Array.from({ length: count - 1 }, (_, i) => ({
    service: `service-${i}`,
    prefix: `/api/service-${i}/`,
    target,
  }));
  const file = join(around.folder, `routes-${count}.json`);
  writeFileSync(
    file,
    JSON.stringify({ routes: [...routes, { service: 'lims', prefix: '/api/lims/', target }] }),
  );
  return file;
}

/** A program of the peers' folder on Node. */
function nodePeer(title: string, file: string, upstream: 'upstream' | 'services' = 'upstream'): Subject {
  return {
    title,
    async start(around) {
      const port = await freePort();
      return ServerProcess.start([process.execPath, fileOf(`../peers/${file}`)], {
        port,
        cores: around.pinning?.server,
        env: {
          NODE_ENV: 'production',
          PORT: String(port),
          UPSTREAM: around.urlOf(upstream),
          JWT_SECRET: around.secret,
        },
      });
    },
  };
}

/** A program of the system, with a configuration of the peers' folder. */
function systemPeer(title: string, program: string, template: string, args: readonly string[]): Subject {
  return {
    title,
    async start(around) {
      ensure(program);
      const port = await freePort();
      const folder = mkdtempSync(join(around.folder, `${program}-`));
      mkdirSync(join(folder, 'cache'));
      const values: Readonly<Record<string, string | number>> = {
        folder,
        port,
        upstream: around.portOf('upstream'),
        decisions: around.portOf('decisions'),
        secret: around.secret,
        // As root, nginx would hand its work to a user who may not write to our folder.
        user: userInfo().username,
      };
      const text = readFileSync(fileOf(`../peers/${template}`), 'utf8');
      const file = join(folder, template);
      writeFileSync(
        file,
        text.replace(/\{\{(\w+)\}\}/g, (_, name: string) => String(values[name])),
      );
      return ServerProcess.start([program, ...args, file], { port, cores: around.pinning?.server });
    },
  };
}

/** Installs a Debian package where that is possible without asking; else the peer takes no part. */
function ensure(program: string): void {
  const has = () => spawnSync(program, ['-v']).error === undefined;
  if (has()) return;
  if (process.getuid?.() === 0 && spawnSync('apt-get', ['--version']).status === 0) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    spawnSync('apt-get', ['update', '-qq'], { env });
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', program], { env });
    if (has()) return;
  }
  throw new Absent(`${program} is not installed`);
}

/**
 * Who was learnt need not be asked about again while others are. Without audit, which takes no part in finding a caller
 * who is known, learning them takes less time. Redis has to be there: without it nobody is trusted for long.
 */
const ROOM_FOR_EVERY_TOKEN = {
  CACHE_MAX: '2000000',
  IDENTITY_REFRESH: '3600',
  AUDIT_MODE: 'off',
};

/** Everything that is measured, by name. */
export const subjects = {
  gateway: gateway('gateway, audit async'),
  gatewayStrict: gateway('gateway, audit strict', { AUDIT_MODE: 'strict' }),
  gatewayAuditOff: gateway('gateway, audit off', { AUDIT_MODE: 'off' }),
  gatewayTwoWorkers: gateway('gateway, 2 workers, all cores', { WORKERS: '2' }, { cores: 'all' }),
  gatewayOneWorker: gateway('gateway, 1 worker, all cores', {}, { cores: 'all' }),
  gatewayTenRoutes: gateway('gateway, 10 routes', {}, { routes: 10 }),
  gatewayManyRoutes: gateway('gateway, 10,000 routes', {}, { routes: 10_000 }),
  gatewayFewTokens: gateway('gateway, few tokens', ROOM_FOR_EVERY_TOKEN),
  gatewayManyTokens: gateway('gateway, many tokens', ROOM_FOR_EVERY_TOKEN),
  bare: nodePeer('bare node:http + undici proxy', 'bare-proxy.ts'),
  bareServices: nodePeer('bare node:http + undici proxy', 'bare-proxy.ts', 'services'),
  hello: nodePeer('node:http hello, no proxy', 'hello.ts'),
  fastify: nodePeer('Fastify + @fastify/http-proxy, cached token lookup', 'fastify.ts'),
  express: nodePeer('Express + http-proxy-middleware, cached token lookup', 'express.ts'),
  nginxAuth: systemPeer('nginx auth_request cached, access log', 'nginx', 'nginx-auth-request.conf', ['-c']),
  nginxProxy: systemPeer('nginx proxy only', 'nginx', 'nginx-proxy.conf', ['-c']),
  haproxy: systemPeer('HAProxy jwt_verify HS256', 'haproxy', 'haproxy.cfg', ['-f']),
} satisfies Record<string, Subject>;

export type SubjectName = keyof typeof subjects;
