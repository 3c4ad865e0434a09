import { Piscina } from 'piscina';
import type { ThreadOptions, ThreadReply, ThreadRequest, ThreadTask } from './thread-options.ts';

/** The thread of a trail. It loads its code as soon as it is made, before anybody knows what to ask of it. */
export class AuditThread {
  readonly #pool = new Piscina<ThreadRequest, ThreadReply>({
    filename: new URL('./thread.ts', import.meta.url).href,
    minThreads: 1,
    maxThreads: 1,
    // A batch is on disk before the one before it is with the stream.
    concurrentTasksPerWorker: 1_000_000,
    idleTimeout: Number.POSITIVE_INFINITY,
    // With atomics the thread blocks between tasks, and its socket and timers with it.
    atomics: 'disabled',
    recordTiming: false,
  });

  /** @param options told with each task, because a thread that died is replaced by one that knows nothing */
  run(options: ThreadOptions, task: ThreadTask): Promise<ThreadReply> {
    return this.#pool.run({ options, task });
  }

  close(): Promise<void> {
    return this.#pool.close();
  }
}
