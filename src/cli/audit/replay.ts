import { parseArgs } from 'node:util';
import { Clerk } from '../../audit/clerk.ts';
import { segmentsUnder, trailFolder } from '../../audit/segment-entries.ts';
import { Tally } from '../../audit/tally.ts';
import { loadConfig } from '../../config/config.ts';
import { command, FAILED, OK, print, UsageError } from '../command.ts';
import { Progress } from './progress.ts';

const HELP = `Usage: gateway audit replay [options] FOLDER

Ships what a spool folder holds to the stream, as a gateway would that was started on it: that of a machine that
will not come back, for instance, or of the embedded mode. Segments are removed once Redis has them; work on a
copy to keep them. Slots that a running gateway owns are left alone: it ships them itself.

  FOLDER          a state folder, or the folder "audit" in one
  --redis URL     default AUDIT_REDIS, else REDIS_URL
  --timeout S     give up when the stream takes nothing for so many seconds; default 30

Repeats are harmless: readers know an event by its id.

Examples
  gateway audit replay /mnt/old-node/state
  cp -a state /tmp/copy && gateway audit replay /tmp/copy --redis redis://archive:6379`;

const POLL = 100;

export const replayCommand = command('ship a spool folder to the stream', HELP, async (args) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { redis: { type: 'string' }, timeout: { type: 'string', default: '30' } },
  });
  const [folder, ...more] = positionals;
  const patience = Number(values.timeout) * 1_000;
  if (folder === undefined || more.length > 0) throw new UsageError('expected one FOLDER');
  if (!(patience > 0)) throw new UsageError(`--timeout: expected seconds, got "${values.timeout}"`);
  const config = loadConfig(process.env);
  const redisUrl = values.redis ?? config.auditRedisUrl;
  if (redisUrl === null) throw new UsageError('no Redis: expected --redis, AUDIT_REDIS or REDIS_URL');
  const trail = trailFolder(folder);
  if (segmentsUnder(trail).length === 0) throw new UsageError(`${folder} holds no segments`);

  const tally = new Tally();
  const clerk = new Clerk({
    redisUrl,
    jwtSecret: config.jwtSecret,
    folder: trail,
    spoolMax: Number.MAX_SAFE_INTEGER,
    retention: 0,
    backlogMax: config.auditBacklogMax,
    strict: false,
    tally: tally.buffer,
    taken: new Int32Array(new SharedArrayBuffer(4)),
  });
  await clerk.open();
  const fault = await shipAll(clerk, tally, patience);
  await clerk.close();
  print(`${tally.get('replayed') + tally.get('written')} events shipped`);
  if (fault === null) return OK;
  print(`not everything was shipped: ${fault}`);
  return FAILED;
});

/** Waits until nothing is left. Gives null, or why something is. */
async function shipAll(clerk: Clerk, tally: Tally, patience: number): Promise<string | null> {
  const progress = new Progress('events', null);
  let shipped = 0;
  let movedAt = Date.now();
  try {
    for (;;) {
      const { diskFault, streamFault } = clerk.tick();
      await clerk.visited();
      const now = tally.get('replayed') + tally.get('written');
      progress.advance(now - shipped);
      if (now > shipped) movedAt = Date.now();
      shipped = now;
      if (!clerk.hasUnsent && streamFault === null) return diskFault;
      if (Date.now() - movedAt > patience) return streamFault ?? diskFault ?? 'the stream takes nothing';
      await new Promise((resolve) => setTimeout(resolve, POLL));
    }
  } finally {
    progress.end();
  }
}
