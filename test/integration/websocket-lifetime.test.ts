import { once } from 'node:events';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { Gateway } from '../setup/gateway.ts';
import { RedisServer } from '../setup/redis.ts';
import { until } from '../setup/until.ts';
import { Upstream } from '../setup/upstream.ts';
import { closing, openSocket, refusedSocket } from '../setup/websocket.ts';

let server: RedisServer;
let redis: Redis;
let platform: Platform;
let upstream: Upstream;
let gateway: Gateway;
let token: string;

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new Redis(server.url);
  platform = await startPlatform({ redisUrl: server.url });
  upstream = await Upstream.start();
  gateway = await Gateway.start({ ...platform.env, LIMS_URL: upstream.url, WORKERS: '2' });
  token = await platform.iam.issue(USERS.scientist);
});
afterAll(async () => {
  await gateway.stop();
  redis.disconnect();
  await upstream.close();
  await platform.close();
  await server.close();
});

const events = async () =>
  (await redis.xrange('audit:events', '-', '+')).map(([, [, data = '']]) => JSON.parse(data));

/** Places for sockets that are taken in Redis. */
async function heldPlaces(): Promise<number> {
  const keys = await redis.keys('gateway:*:sockets:open');
  const counts = await Promise.all(keys.map((key) => redis.zcard(key)));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Lets the upstream echo, and notes the codes its sockets are closed with. */
function echoing(): number[] {
  const codes: number[] = [];
  upstream.accept((socket) => {
    socket.on('message', (data, binary) => socket.send(data, { binary }));
    socket.on('close', (code) => codes.push(code));
  });
  return codes;
}

test('idle for STREAM_IDLE_TIMEOUT is closed with 1001 on both sides', async () => {
  const impatient = await Gateway.start({
    ...platform.env,
    LIMS_URL: upstream.url,
    STREAM_IDLE_TIMEOUT: '0.5',
  });
  const upstreamCodes = echoing();
  const client = await openSocket(impatient, '/api/lims/ws', token);
  expect(await closing(client)).toEqual({ code: 1001, reason: 'idle for too long' });
  await until(() => upstreamCodes[0] === 1001);
  await impatient.stop();
});

test('there is one audit event when a socket opens and one when it ends', async () => {
  echoing();
  await redis.del('audit:events');
  const client = await openSocket(gateway, '/api/lims/ws?page=1', token, { perMessageDeflate: false });
  await until(async () => (await events()).length === 1);
  client.send('A'.repeat(1000));
  await once(client, 'message');
  client.close();
  await closing(client);
  await refusedSocket(gateway, '/api/lims/ws', null);
  await until(async () => (await events()).length === 3);
  const [opened, closed, refused] = await events();
  const same = {
    event_type: 'request',
    user_id: '1',
    action: 'GET /api/lims/ws',
    resource: '/lims/ws',
    decision: 'allow',
    status_code: 101,
    trace_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
  };
  expect(opened).toMatchObject({ ...same, reason: null, context: { route: 'lims' } });
  expect(closed).toMatchObject({ ...same, reason: 'upgrade_closed', trace_id: opened.trace_id });
  expect(closed.event_id).not.toBe(opened.event_id);
  // Frames count as they pass: header, mask and payload up; header and payload down; then two close frames.
  expect([closed.context.bytes_in, closed.context.bytes_out]).toEqual([1000 + 8 + 6, 1000 + 4 + 2]);
  expect(closed.latency_ms).toBeGreaterThan(0);
  expect(refused).toMatchObject({ event_type: 'auth_failed', status_code: 401, decision: 'deny' });
});

test('a stop ends 200 echoing sockets with 1001, each with its event, and damages no echo', async () => {
  await redis.del('audit:events');
  const stopping = await Gateway.start({
    ...platform.env,
    LIMS_URL: upstream.url,
    WORKERS: '2',
    MAX_SOCKETS_PER_IDENTITY: '1000',
  });
  const upstreamCodes = echoing();
  const message = (i: number, n: number) => Buffer.alloc(1 + ((i * 7919 + n * 104_729) % 70_000), n);
  const sockets = await Promise.all(
    Array.from({ length: 200 }, async (_, i) => {
      const socket = await openSocket(stopping, '/api/lims/many', token);
      const seen = { code: 0, faults: 0, echoed: 0 };
      socket.on('error', () => seen.faults++);
      socket.on('close', (code) => {
        seen.code = code;
      });
      socket.on('message', (data) => {
        if (!message(i, seen.echoed++).equals(data as Buffer)) seen.faults++; // binary: a Buffer
        if (socket.readyState === WebSocket.OPEN) socket.send(message(i, seen.echoed));
      });
      socket.send(message(i, 0));
      return seen;
    }),
  );
  await until(() => sockets.every(({ echoed }) => echoed > 2));
  stopping.process.kill('SIGTERM');
  await until(() => sockets.every(({ code }) => code !== 0) && upstreamCodes.length === 200);
  expect(sockets.filter(({ code, faults }) => code !== 1001 || faults > 0)).toEqual([]);
  expect(upstreamCodes.filter((code) => code !== 1001)).toEqual([]);
  expect(await stopping.stop()).toBe(0);
  const reasons = (await events())
    .filter(({ action }) => action === 'GET /api/lims/many')
    .map(({ reason }) => reason);
  expect(reasons.filter((reason) => reason === null)).toHaveLength(200);
  expect(reasons.filter((reason) => reason === 'upgrade_drain')).toHaveLength(200);
  expect(stopping.output).not.toContain('cut at the end');
}, 60_000);

test('a caller’s sockets are counted over all workers', async () => {
  echoing();
  await until(async () => (await heldPlaces()) === 0);
  const limited = await Gateway.start({
    ...platform.env,
    LIMS_URL: upstream.url,
    WORKERS: '2',
    MAX_SOCKETS_PER_IDENTITY: '3',
  });
  const gpu = await platform.iam.issue(USERS.gpu);
  // Connections go to the workers in turn.
  const open = await Promise.all([1, 2, 3].map(() => openSocket(limited, '/api/lims/ws', gpu)));
  for (let i = 0; i < 2; i++) expect((await refusedSocket(limited, '/api/lims/ws', gpu)).status).toBe(429);
  open[0]?.close();
  await until(async () => (await heldPlaces()) === 2);
  open[0] = await openSocket(limited, '/api/lims/ws', gpu);
  expect((await refusedSocket(limited, '/api/lims/ws', gpu)).status).toBe(429);
  for (const socket of open) socket.close();
  await until(async () => (await heldPlaces()) === 0);
  await limited.stop();
});

test('a logout closes the sockets of its token with 1008 on both sides, and no others', async () => {
  const upstreamCodes = echoing();
  await redis.del('audit:events');
  const refresh = await platform.iam.issue(USERS.scientist, { type: 'refresh' });
  const ended = await platform.iam.issue(USERS.scientist);
  // Connections go to the workers in turn: both hold sockets of each token.
  const [own, others] = [
    await Promise.all([1, 2, 3, 4].map(() => openSocket(gateway, '/api/lims/ws', ended))),
    await Promise.all([1, 2, 3, 4].map(() => openSocket(gateway, '/api/lims/ws', token))),
  ];
  const closed = Promise.all(own.map(closing));
  const startedAt = Date.now();
  await platform.iam.logout(refresh, ended);
  expect(await closed).toEqual(own.map(() => ({ code: 1008, reason: 'token revoked' })));
  expect(Date.now() - startedAt).toBeLessThan(3_000); // REVOCATION_BOUND
  await until(() => upstreamCodes.length === 4);
  expect(upstreamCodes).toEqual([1008, 1008, 1008, 1008]);
  await until(async () => (await events()).filter(({ reason }) => reason === 'upgrade_revoked').length === 4);
  for (const socket of others) {
    socket.send('still here');
    expect(String((await once(socket, 'message'))[0])).toBe('still here');
    socket.terminate();
  }
});

test('a socket ends with its token', async () => {
  const upstreamCodes = echoing();
  const exp = Math.ceil(Date.now() / 1000) + 2;
  const brief = await platform.iam.issue(USERS.scientist, { exp });
  const socket = await openSocket(gateway, '/api/lims/ws', brief);
  expect(await closing(socket)).toEqual({ code: 1008, reason: 'token expired' });
  expect(Date.now()).toBeGreaterThanOrEqual(exp * 1000);
  expect(Date.now()).toBeLessThan(exp * 1000 + 3_000);
  await until(() => upstreamCodes[0] === 1008);
});
