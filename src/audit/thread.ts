import { join } from 'node:path';
import { workerData } from 'node:worker_threads';
import { AuditSigner } from './signature.ts';
import { Spool } from './spool.ts';
import { AuditStream } from './stream.ts';

/** What the audit thread is started with. */
export interface ThreadOptions {
  /** Null: embedded mode, the spool is the trail. */
  readonly redisUrl: string | null;
  readonly jwtSecret: string;
  readonly stateDir: string;
  /** Names the files this worker writes. */
  readonly worker: string;
  /** Bytes the spool may take. */
  readonly spoolMax: number;
}

/** What became of a batch, and of spooled events tried along with it. */
export interface ShipResult {
  readonly written: number;
  readonly spooled: number;
  readonly replayed: number;
  readonly dropped: number;
  readonly spoolEmpty: boolean;
  /** Why the stream did not take the events; null where it did. */
  readonly fault: string | null;
}

// piscina wraps what the pool was given: [its own data, ours].
const options = (Array.isArray(workerData) ? workerData.at(-1) : workerData) as ThreadOptions;
const signer = new AuditSigner(options.jwtSecret);
const spool = new Spool(join(options.stateDir, 'audit'), options.worker, options.spoolMax);
const stream = options.redisUrl === null ? null : new AuditStream(options.redisUrl);

/** Signs a batch of event texts and ships it: to the stream, or else to the spool. */
export default async function ship(batch: readonly string[]): Promise<ShipResult> {
  const events = batch.map((data) => ({ data, sig: signer.sign(data) }));
  if (stream === null) {
    const { spooled, fault } = keep(events);
    return { ...NOTHING, written: spooled, dropped: events.length - spooled, fault };
  }
  const streamFault = events.length === 0 ? null : await stream.append(events);
  if (streamFault === null) {
    const { replayed, spoolEmpty } = await replay();
    return { ...NOTHING, written: events.length, replayed, spoolEmpty };
  }
  const { spooled, fault } = keep(events);
  return {
    ...NOTHING,
    spooled,
    dropped: events.length - spooled,
    spoolEmpty: false,
    fault: fault ?? streamFault,
  };
}

const NOTHING: ShipResult = {
  written: 0,
  spooled: 0,
  replayed: 0,
  dropped: 0,
  spoolEmpty: true,
  fault: null,
};

function keep(events: readonly { data: string; sig: string }[]): { spooled: number; fault: string | null } {
  try {
    const spooled = spool.append(events);
    return { spooled, fault: spooled < events.length ? 'the spool is full' : null };
  } catch (error) {
    return { spooled: 0, fault: `the spool cannot be written: ${error}` };
  }
}

/** Ships one spooled segment, oldest first; the next one goes along with the next batch. */
async function replay(): Promise<{ replayed: number; spoolEmpty: boolean }> {
  const [segment, next] = spool.segments();
  if (segment === undefined || stream === null) return { replayed: 0, spoolEmpty: true };
  spool.seal();
  const { events } = spool.read(segment);
  if ((await stream.append(events)) !== null) return { replayed: 0, spoolEmpty: false };
  spool.remove(segment);
  return { replayed: events.length, spoolEmpty: next === undefined };
}
