/** Counted in the thread. Sums: see {@link Tally}. */
const COUNTS = [
  'written',
  'spooled',
  'replayed',
  'adopted',
  'recovered',
  'unreadable',
  'resent',
  'dropped',
  'memory',
  'spoolBytes',
  'oldestUnsent',
] as const;

type Count = (typeof COUNTS)[number];

/** Upper bounds of the histograms: events of a batch, and seconds until the stream has answered. */
const BATCH_SIZES = [1, 4, 16, 64, 128, 256, 512, 1024, 2048];
const BATCH_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** A histogram's state: one count per bound, then the count of all, then their sum. */
export class SharedHistogram {
  readonly bounds: readonly number[];
  readonly #values: Float64Array;

  constructor(bounds: readonly number[], values: Float64Array) {
    this.bounds = bounds;
    this.#values = values;
  }

  observe(value: number): void {
    const bucket = this.bounds.findIndex((bound) => value <= bound);
    if (bucket !== -1) this.#add(bucket, 1);
    this.#add(this.bounds.length, 1);
    this.#add(this.bounds.length + 1, value);
  }

  /** How many were no greater than each bound. */
  get cumulative(): number[] {
    let sum = 0;
    return this.bounds.map((_bound, i) => {
      sum += this.#values[i] ?? 0;
      return sum;
    });
  }

  get count(): number {
    return this.#values[this.bounds.length] ?? 0;
  }

  get sum(): number {
    return this.#values[this.bounds.length + 1] ?? 0;
  }

  #add(index: number, value: number): void {
    this.#values[index] = (this.#values[index] ?? 0) + value;
  }
}

/**
 * What became of events, in memory that the thread writes and the main thread reads, so that nothing has to
 * be told. At every moment, with `accepted` and `waiting` of the main thread:
 *
 * - accepted + recovered = written + spooled + dropped + memory + waiting
 * - spooled + adopted = replayed + unreadable + {@link onDisk}
 */
export class Tally {
  readonly buffer: SharedArrayBuffer;
  readonly batchSizes: SharedHistogram;
  readonly batchSeconds: SharedHistogram;
  readonly #values: Float64Array;

  constructor(
    buffer = new SharedArrayBuffer(8 * (COUNTS.length + BATCH_SIZES.length + BATCH_SECONDS.length + 4)),
  ) {
    this.buffer = buffer;
    this.#values = new Float64Array(buffer, 0, COUNTS.length);
    const sizes = new Float64Array(buffer, 8 * COUNTS.length, BATCH_SIZES.length + 2);
    this.batchSizes = new SharedHistogram(BATCH_SIZES, sizes);
    const seconds = new Float64Array(buffer, sizes.byteOffset + sizes.byteLength, BATCH_SECONDS.length + 2);
    this.batchSeconds = new SharedHistogram(BATCH_SECONDS, seconds);
  }

  get(count: Count): number {
    return this.#values[COUNTS.indexOf(count)] ?? 0;
  }

  set(count: Count, value: number): void {
    this.#values[COUNTS.indexOf(count)] = value;
  }

  add(count: Count, value: number): void {
    this.set(count, this.get(count) + value);
  }

  /** Events that wait on disk and nowhere else. */
  get onDisk(): number {
    return this.get('spooled') + this.get('adopted') - this.get('replayed') - this.get('unreadable');
  }
}
