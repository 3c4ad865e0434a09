import { expect, test } from 'vitest';
import { startPlatform } from '../../src/sandbox/platform.ts';
import { USERS } from '../../src/sandbox/users.ts';
import { Gateway } from '../setup/gateway.ts';
import { until } from '../setup/until.ts';
import { Upstream } from '../setup/upstream.ts';
import { closing, openSocket } from '../setup/websocket.ts';

test('sockets that echo while the workers roll are each closed properly, with nothing lost before', async () => {
  const platform = await startPlatform();
  const upstream = await Upstream.start();
  upstream.accept((socket) => socket.on('message', (data, binary) => socket.send(data, { binary })));
  const gateway = await Gateway.start({ ...platform.env, LIMS_URL: upstream.url, WORKERS: '2' });
  const token = await platform.iam.issue(USERS.scientist);
  const ends: Promise<{ code: number; reason: string }>[] = [];
  let wrong = 0;
  let echoes = 0;
  for (let i = 0; i < 50; i++) {
    const socket = await openSocket(gateway, '/api/lims/ws', token);
    let sent = 0;
    socket.on('message', (data) => {
      if (String(data) !== `${i} ${sent}`) wrong++;
      echoes++;
      socket.send(`${i} ${++sent}`);
    });
    socket.send(`${i} ${sent}`);
    ends.push(closing(socket));
  }
  await until(() => echoes > 1_000);
  gateway.process.kill('SIGHUP');
  const codes = (await Promise.all(ends)).map(({ code }) => code);
  expect(new Set(codes)).toEqual(new Set([1001]));
  expect(wrong).toBe(0);
  // And new ones are taken by the new workers.
  const next = await openSocket(gateway, '/api/lims/ws', token);
  next.close();
  expect((await closing(next)).code).toBe(1005);
  await gateway.stop();
  await upstream.close();
  await platform.close();
}, 90_000);
