import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { treeOf, usageOf } from '../harness/process-tree.ts';
import type { Footprint } from '../harness/results.ts';
import type { Observer } from '../harness/run-scenario.ts';
import type { ServerProcess } from '../harness/server-process.ts';
import { gateway } from '../harness/subjects.ts';
import type { Surroundings } from '../harness/surroundings.ts';
import { soak } from './soak.ts';

const STARTS = 5;
const CONNECTIONS = 10_000;

/** Until start-up garbage is collected and lazily loaded code is in. Milliseconds. */
const SETTLE = 3_000;

/** Start-up time and memory of a gateway with one worker. */
export async function measureFootprint(
  around: Surroundings,
  soakMinutes: number,
  observer: Pick<Observer, 'progress'>,
): Promise<Footprint> {
  // One folder for all starts: the first has to compile what the others find there.
  const stateDir = mkdtempSync(join(around.folder, 'starts-'));
  const starts: number[] = [];
  for (let i = 0; i <= STARTS; i++) {
    observer.progress(`footprint: start ${i + 1} of ${STARTS + 1}`);
    starts.push(await timeToFirstAnswer(around, stateDir));
  }
  const [firstStart = Number.NaN, ...coldStart] = starts;
  observer.progress('footprint: idle memory');
  const server = await gateway('idle').start(around);
  try {
    await sleep(SETTLE);
    const treeIdle = usageOf(server.pid).rss;
    const workerIdle = usageOf(treeOf(server.pid)[1] ?? server.pid).rss;
    observer.progress(`footprint: ${CONNECTIONS} idle connections`);
    const sockets = await openIdle(server, CONNECTIONS);
    await sleep(SETTLE);
    const perConnection = (usageOf(server.pid).rss - treeIdle) / sockets.length;
    for (const socket of sockets) socket.destroy();
    return {
      firstStart,
      coldStart,
      workerIdle,
      treeIdle,
      per10kConnections: perConnection * 10_000,
      soak: soakMinutes > 0 ? await soak(around, soakMinutes, observer) : null,
    };
  } finally {
    await server.stop();
  }
}

/** Milliseconds from starting the program to its first 200. */
async function timeToFirstAnswer(around: Surroundings, stateDir: string): Promise<number> {
  const startedAt = performance.now();
  const server = await gateway('cold', { STATE_DIR: stateDir }, { cores: 'all' }).start(around);
  const answer = await askOnce(server.port);
  const elapsed = performance.now() - startedAt;
  answer.destroy();
  await server.stop();
  return elapsed;
}

/** Connections that have been used once and wait for their next request. */
async function openIdle(server: ServerProcess, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const batch = Array.from({ length: Math.min(250, count - sockets.length) }, () => askOnce(server.port));
    sockets.push(...(await Promise.all(batch)));
  }
  return sockets;
}

async function askOnce(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.write('GET /health HTTP/1.1\r\nHost: bench\r\n\r\n');
  const [chunk] = await once(socket, 'data');
  if (!String(chunk).startsWith('HTTP/1.1 200')) throw new Error(`unexpected answer: ${chunk}`);
  return socket;
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
