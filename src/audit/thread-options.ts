import type { PackedFacts } from './facts.ts';

/** What the audit thread has to know. */
export interface ThreadOptions {
  /** Null: embedded mode, the spool is the trail. */
  readonly redisUrl: string | null;
  readonly jwtSecret: string;
  /** Folder of the spools of all workers. */
  readonly folder: string;
  /** Bytes the spools may take together. */
  readonly spoolMax: number;
  /** Milliseconds for which acknowledged events are kept in case the stream loses them. */
  readonly retention: number;
  /** Events held in memory at most while no disk takes them. */
  readonly backlogMax: number;
  /** Promises are on the disk itself before they count as kept. */
  readonly strict: boolean;
  /** Memory of the {@link Tally}. */
  readonly tally: SharedArrayBuffer;
  /** Counts the batches taken; waited on by a worker that is about to end. */
  readonly taken: Int32Array<SharedArrayBuffer>;
}

/** What the thread is asked: to take a batch of facts, or one of its other duties. */
export type ThreadTask = PackedFacts | 'open' | 'tick' | 'close';

/** A task as it travels. */
export interface ThreadRequest {
  readonly options: ThreadOptions;
  readonly task: ThreadTask;
}

/** What the thread answers to everything. */
export interface ThreadReply {
  /** Whether all promises of the batch are kept: on disk, or as events in the stream. */
  readonly kept: boolean;
  /** Whether disk or stream take events. */
  readonly healthy: boolean;
  /** Why not the disk, why not the stream. */
  readonly diskFault: string | null;
  readonly streamFault: string | null;
}
