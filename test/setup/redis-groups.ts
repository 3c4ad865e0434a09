import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { startProcess } from './child-process.ts';
import { freePort } from './free-port.ts';
import { RedisServer } from './redis.ts';
import { until } from './until.ts';

const SLOTS = 16_384;

/** A Redis Cluster of three processes without replicas. */
export async function startCluster(): Promise<{ nodes: RedisServer[]; url: string; close(): Promise<void> }> {
  const nodes: RedisServer[] = [];
  for (let i = 0; i < 3; i++) {
    const busPort = String(await freePort());
    nodes.push(
      await RedisServer.start(
        ...['--cluster-enabled', 'yes', '--cluster-port', busPort],
        ...['--cluster-node-timeout', '1000', '--cluster-require-full-coverage', 'no'],
      ),
    );
  }
  const clients = nodes.map(({ url }) => new Redis(url));
  for (const [i, client] of clients.entries()) {
    await client.call('CLUSTER', 'SET-CONFIG-EPOCH', String(i + 1));
    const [first, last] = [Math.ceil((SLOTS * i) / 3), Math.ceil((SLOTS * (i + 1)) / 3) - 1];
    await client.call('CLUSTER', 'ADDSLOTSRANGE', String(first), String(last));
  }
  for (const node of nodes.slice(1)) {
    const busPort = await configOf(node, 'cluster-port');
    await clients[0]?.call('CLUSTER', 'MEET', '127.0.0.1', String(node.port), busPort);
  }
  for (const client of clients) {
    await until(async () => {
      const info = String(await client.call('CLUSTER', 'INFO'));
      return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3');
    });
    client.disconnect();
  }
  return {
    nodes,
    url: `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    close: async () => {
      for (const node of nodes) await node.close();
    },
  };
}

async function configOf(node: RedisServer, name: string): Promise<string> {
  const client = new Redis(node.url);
  const [, value] = (await client.call('CONFIG', 'GET', name)) as [string, string];
  client.disconnect();
  return value;
}

/** A master with a replica, watched by one sentinel that fails over after half a second. */
export async function startSentinelGroup(): Promise<{
  master: RedisServer;
  replica: RedisServer;
  url: string;
  close(): Promise<void>;
}> {
  const master = await RedisServer.start();
  const replica = await RedisServer.start('--replicaof', '127.0.0.1', String(master.port));
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'gateway-sentinel-'));
  const file = join(folder, 'sentinel.conf');
  writeFileSync(
    file,
    [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${folder}`,
      `sentinel monitor platform 127.0.0.1 ${master.port} 1`,
      'sentinel down-after-milliseconds platform 500',
      'sentinel failover-timeout platform 3000',
    ].join('\n'),
  );
  const sentinel: ChildProcess = startProcess('redis-server', [file, '--sentinel'], { stdio: 'ignore' });
  const client = new Redis({ port, retryStrategy: () => 20, maxRetriesPerRequest: null });
  client.on('error', () => {}); // until the sentinel listens
  // It must know the replica before it can promote it.
  await until(async () => String(await client.call('SENTINEL', 'REPLICAS', 'platform')).includes('slave'));
  client.disconnect();
  return {
    master,
    replica,
    url: `redis+sentinel://127.0.0.1:${port}/platform`,
    close: async () => {
      const exited = once(sentinel, 'exit');
      sentinel.kill('SIGKILL');
      await exited;
      rmSync(folder, { recursive: true, force: true });
      await replica.close();
      await master.close();
    },
  };
}
