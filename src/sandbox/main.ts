import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Platform, startPlatform } from './platform.ts';
import { SERVICE_KEYS } from './services.ts';
import { USERS } from './users.ts';

const HELP = `Usage: npm run sandbox -- [options]

Starts a small platform (IAM, policy engine, HPC engine, six services) and the gateway in front of it.

  --port N          the gateway's port (default 8080)
  --redis URL       share caches and audit through Redis (default: embedded mode, audit in a folder)
  --platform-only   no gateway; the platform on fixed ports of all interfaces, secrets from
                    JWT_SECRET and GATEWAY_SECRET
  --help            this text
`;

/** Ports of the platform without a gateway, one host holding all of it. */
const FIXED_PORTS: Readonly<Record<string, number>> = {
  iam: 8001,
  policy: 8002,
  hpc: 8003,
  workbench: 8000,
  tes: 8081,
  toolserver: 9090,
  'model-registry': 8095,
  rag: 8096,
  lims: 7000,
};

/** Tokens printed by the sandbox stay good for a working day. Seconds. */
const TOKEN_LIFETIME = 12 * 3600;

const START_TIMEOUT = 10_000;

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '8080' },
    redis: { type: 'string' },
    'platform-only': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) process.stdout.write(HELP);
else if (values['platform-only']) await runPlatformOnly();
else await runSandbox(Number(values.port), values.redis ?? null);

async function runPlatformOnly(): Promise<void> {
  const { JWT_SECRET: jwtSecret, GATEWAY_SECRET: gatewaySecret, REDIS_URL: redisUrl } = process.env;
  if (!jwtSecret || !gatewaySecret) {
    process.stderr.write('JWT_SECRET and GATEWAY_SECRET: are missing, expected those of the gateway\n');
    process.exit(78);
  }
  const platform = await startPlatform({
    host: '0.0.0.0',
    ports: FIXED_PORTS,
    jwtSecret,
    gatewaySecret,
    redisUrl: redisUrl ?? null,
    accessLifetime: TOKEN_LIFETIME,
  });
  process.stdout.write(`platform ready\n${await tokens(platform)}\n`);
  await ended();
  await platform.close();
}

async function runSandbox(port: number, redisUrl: string | null): Promise<void> {
  const platform = await startPlatform({ redisUrl, accessLifetime: TOKEN_LIFETIME });
  const stateDir = join(tmpdir(), `omnibioai-gateway-sandbox-${port}`);
  const gateway = spawn(process.execPath, [new URL('../start.js', import.meta.url).pathname], {
    env: {
      ...process.env,
      ...platform.env,
      HOST: '127.0.0.1',
      PORT: String(port),
      WORKERS: process.env.WORKERS ?? '1',
      STATE_DIR: stateDir,
      LOG_LEVEL: process.env.LOG_LEVEL ?? 'warn',
    },
    stdio: 'inherit',
    // A group of its own: Ctrl-C reaches this process only, which then stops the gateway in order.
    detached: true,
  });
  const ready = await Promise.race([answers(port, gateway), once(gateway, 'exit').then(() => false)]);
  if (!ready) {
    process.stderr.write(
      `the gateway did not start on port ${port}: see above, or give another one with --port\n`,
    );
    gateway.kill('SIGKILL');
    await platform.close();
    process.exit(1);
  }
  process.stdout.write(await welcome(platform, port, stateDir, redisUrl));
  const stopped = await Promise.race([ended().then(() => true), once(gateway, 'exit').then(() => false)]);
  if (stopped) {
    gateway.kill('SIGTERM');
    if (gateway.exitCode === null) await once(gateway, 'exit');
  } else {
    process.stderr.write('the gateway ended by itself\n');
  }
  await platform.close();
  process.exit(stopped ? 0 : 1);
}

/** Resolves once the gateway answers, or to false after ten seconds. */
async function answers(port: number, gateway: ChildProcess): Promise<boolean> {
  const deadline = Date.now() + START_TIMEOUT;
  while (Date.now() < deadline && gateway.exitCode === null) {
    const response = await fetch(`http://127.0.0.1:${port}/health`).catch(() => null);
    // Whoever else holds the port may answer too; only the gateway gives a trace id.
    if (response?.ok && response.headers.has('x-trace-id') && gateway.exitCode === null) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

function ended(): Promise<unknown> {
  return Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
}

async function tokens(platform: Platform): Promise<string> {
  const lines = await Promise.all(
    Object.entries(USERS).map(
      async ([name, user]) => `export ${name.toUpperCase()}=${await platform.iam.issue(user)}`,
    ),
  );
  return lines.join('\n');
}

async function welcome(
  platform: Platform,
  port: number,
  stateDir: string,
  redisUrl: string | null,
): Promise<string> {
  const base = `http://127.0.0.1:${port}`;
  const services = SERVICE_KEYS.map((key) => `  ${key.padEnd(15)}${platform.services.get(key)?.url}`);
  return `
Gateway          ${base}
Metrics          http://127.0.0.1:${process.env.ADMIN_PORT ?? 9464}/metrics, readiness at /ready
Audit trail      ${redisUrl === null ? join(stateDir, 'audit') : `stream audit:events in ${redisUrl}`}
IAM              ${platform.iam.url} (POST /auth/login, e.g. ${USERS.scientist.email} / ${USERS.scientist.password})
Policy engine    ${platform.policy.url}
HPC engine       ${platform.hpc.url}
Services
${services.join('\n')}

Paste these, then the lines below:
${await tokens(platform)}

# a job is submitted: authenticated, allowed by policy, within quota
curl -s ${base}/api/tes/v1/tasks -H "Authorization: Bearer $SCIENTIST" -H 'Content-Type: application/json' -d '{"name":"align","resources":{"cpu_cores":4,"ram_gb":16}}'
# what the service receives: path, query, identity headers, service token
curl -s "${base}/api/lims/samples/123?view=FULL" -H "Authorization: Bearer $SCIENTIST"
# nobody: 401
curl -si ${base}/api/tes/v1/tasks
# the viewer may not run workflows: 403 by policy
curl -si ${base}/api/tes/v1/tasks -H "Authorization: Bearer $VIEWER"
# the scientist has no GPUs: 403 by quota; the GPU user has
curl -si ${base}/api/tes/v1/tasks -H "Authorization: Bearer $SCIENTIST" -H 'Content-Type: application/json' -d '{"resources":{"gpus":1}}'
curl -s ${base}/api/tes/v1/tasks -H "Authorization: Bearer $GPU" -H 'Content-Type: application/json' -d '{"resources":{"gpus":1}}'
# a log stream (SSE), an upload, a download, and nginx's question
curl -sN "${base}/api/rag/logs?lines=5" -H "Authorization: Bearer $SCIENTIST"
head -c 1000000 /dev/zero | curl -s ${base}/api/workbench/upload -H "Authorization: Bearer $SCIENTIST" -T -
curl -s "${base}/api/workbench/download?bytes=64" -H "Authorization: Bearer $SCIENTIST"
curl -si ${base}/auth/verify -H "Authorization: Bearer $SCIENTIST"

Ctrl-C stops everything.
`;
}
