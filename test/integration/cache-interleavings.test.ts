import { hash, randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HolderKeys } from '../../src/cache/keys.ts';
import { RecordSeal } from '../../src/cache/record-seal.ts';
import { RevocationChannel } from '../../src/cache/revocation-channel.ts';
import { Revocations } from '../../src/cache/revocations.ts';
import { SharedStore } from '../../src/cache/shared-store.ts';
import { type Learnt, type Question, TwoTierCache } from '../../src/cache/two-tier-cache.ts';
import { Watermarks } from '../../src/cache/watermarks.ts';
import { openRedis } from '../../src/redis/open-redis.ts';
import { RedisServer } from '../setup/redis.ts';
import { TcpProxy } from '../setup/tcp-proxy.ts';
import { until } from '../setup/until.ts';

/**
 * Two workers' caches over one Redis against a model: random orders of fills, logouts, second logins and
 * reconnections, with an authority whose answers take their time. The claim: once a worker has heard of a
 * revocation, or its channel was renewed after it, nothing it answers says yes any more, whatever was under
 * way; and when all is quiet, every answer is the model's.
 */

type Verdict = 'yes' | 'no';

let server: RedisServer;
let redis: Redis;
let workers: CacheWorker[];

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new Redis(server.url);
  workers = [await CacheWorker.start(server.port), await CacheWorker.start(server.port)];
});
afterAll(async () => {
  for (const worker of workers) await worker.close();
  redis.disconnect();
  await server.close();
});

/** One session of a user: its token, and what the authority would say of it. */
class Session {
  readonly user: string;
  readonly token = randomUUID();
  valid = true;
  /** Counts revocations and renewals each worker has noticed since the logout. */
  readonly heardBy = new Set<CacheWorker>();

  constructor(user: string) {
    this.user = user;
  }
}

class CacheWorker {
  readonly proxy: TcpProxy;
  readonly cache: TwoTierCache<Verdict>;
  readonly #channel: RevocationChannel;
  readonly #redis: ReturnType<typeof openRedis>;
  /** Sessions that were ended and of which this worker may not have heard yet. */
  readonly pending = new Set<Session>();

  private constructor(proxy: TcpProxy) {
    this.proxy = proxy;
    const url = `redis://127.0.0.1:${proxy.port}`;
    this.#redis = openRedis(url, 'test', 1_000);
    this.#redis.on('error', () => {}); // cut on purpose
    const marks = new Watermarks();
    const shared = new SharedStore(this.#redis, new RecordSeal('x'.repeat(32)));
    const revocations = new Revocations(marks, shared, () => {});
    this.#channel = new RevocationChannel(this.#redis, url, 2_000, {
      onRevocation: (revocation) => {
        revocations.apply(revocation);
        this.#heard((session) => revocation.names.includes(`user:${session.user}`));
      },
      onUp: () => {
        marks.epoch++;
        this.#heard(() => true);
      },
    });
    this.cache = new TwoTierCache({
      kind: 'test',
      ttl: 60_000,
      max: 10_000,
      marks,
      trust: this.#channel,
      shared,
    });
  }

  static async start(port: number): Promise<CacheWorker> {
    const worker = new CacheWorker(await TcpProxy.start(port));
    await worker.ready();
    return worker;
  }

  ready(): Promise<void> {
    return until(() => this.#channel.state === 'live' && this.#redis.status === 'ready');
  }

  async close(): Promise<void> {
    this.#channel.close();
    this.#redis.disconnect();
    await this.proxy.close();
  }

  #heard(concerns: (session: Session) => boolean): void {
    for (const session of this.pending) {
      if (!concerns(session)) continue;
      session.heardBy.add(this);
      this.pending.delete(session);
    }
  }

  async ask(session: Session, latency: number): Promise<void> {
    const known = this.cache.peek(session.token, Date.now())?.value;
    // Whatever it says must have been true when the worker last heard.
    if (known !== undefined) return this.#judge(session, known);
    const question = new SessionQuestion(session, latency);
    // Revoked more often than the authority can be asked: no answer is a refusal too.
    this.#judge(session, await this.cache.find(session.token, question).catch(() => 'no' as const));
  }

  #judge(session: Session, verdict: Verdict): void {
    if (session.heardBy.has(this)) expect(verdict).toBe('no');
  }
}

class SessionQuestion implements Question<Verdict> {
  readonly holder: string;
  readonly jti = null;
  readonly digest: string;
  readonly keys: HolderKeys;
  readonly #session: Session;
  readonly #latency: number;

  constructor(session: Session, latency: number) {
    this.#session = session;
    this.#latency = latency;
    this.holder = `user:${session.user}`;
    this.digest = hash('sha256', session.token);
    this.keys = new HolderKeys(this.holder);
  }

  async ask(): Promise<Learnt<Verdict>> {
    const { valid } = this.#session; // as it is now, however late the answer arrives
    await pause(this.#latency);
    return { value: valid ? 'yes' : 'no', validUntil: Number.POSITIVE_INFINITY, refused: !valid };
  }

  blacklisted(): Verdict {
    return 'no';
  }
  encode(value: Verdict): string {
    return value;
  }
  decode(content: string): Verdict {
    return content as Verdict; // written by this class
  }
}

function pause(milliseconds: number): Promise<void> {
  return milliseconds === 0
    ? new Promise((resolve) => setImmediate(resolve))
    : new Promise((resolve) => setTimeout(resolve, milliseconds));
}

async function logOut(session: Session): Promise<void> {
  if (!session.valid) return;
  session.valid = false;
  for (const worker of workers) worker.pending.add(session);
  await redis.publish('policy:invalidate', JSON.stringify({ user_id: session.user }));
}

type Step =
  | { readonly kind: 'ask'; readonly worker: 0 | 1; readonly session: number; readonly latency: number }
  | { readonly kind: 'logout'; readonly session: number }
  | { readonly kind: 'login' };

const worker = fc.constantFrom(0 as const, 1 as const);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('ask' as const),
      worker,
      session: fc.nat(3),
      latency: fc.constantFrom(0, 0, 1, 3),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('logout' as const), session: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('login' as const) }) },
);
const story = fc.array(fc.record({ step, pause: fc.constantFrom(0, 0, 1, 2) }), {
  minLength: 3,
  maxLength: 12,
});

/** One user's story; steps begin in order and run into each other. */
async function play(steps: readonly { step: Step; pause: number }[]): Promise<void> {
  const user = randomUUID();
  const sessions = [new Session(user)];
  const running: Promise<void>[] = [];
  for (const { step, pause: before } of steps) {
    await pause(before);
    if (step.kind === 'login') sessions.push(new Session(user));
    else {
      const session = sessions[step.session % sessions.length] as Session; // within the list
      running.push(
        step.kind === 'logout'
          ? logOut(session)
          : (workers[step.worker] as CacheWorker).ask(session, step.latency), // two of them
      );
    }
  }
  await Promise.all(running);
  for (const one of workers) {
    await until(() => sessions.every((session) => session.valid || session.heardBy.has(one)));
    for (const session of sessions) {
      const verdict = await one.cache.find(session.token, new SessionQuestion(session, 0));
      expect(one.cache.peek(session.token, Date.now())?.value ?? verdict).toBe(session.valid ? 'yes' : 'no');
    }
  }
}

test('2,400 random stories end as the model says', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(story, { minLength: 12, maxLength: 12 }), (stories) =>
      Promise.all(stories.map(play)).then(() => {}),
    ),
    { numRuns: 200 },
  );
});

test('600 more while connections are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(story, { minLength: 12, maxLength: 12 }),
      fc.array(fc.record({ worker, after: fc.nat(15) }), { minLength: 1, maxLength: 3 }),
      async (stories, cuts) => {
        const cutting = cuts.map(async (cut) => {
          await pause(cut.after);
          workers[cut.worker]?.proxy.cut();
        });
        await Promise.all([...stories.map(play), ...cutting]);
        for (const one of workers) await one.ready();
      },
    ),
    { numRuns: 50 },
  );
});
