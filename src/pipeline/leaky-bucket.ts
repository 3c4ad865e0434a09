/**
 * How fast a bucket leaks and how much it holds, in thousandths of a request: the unit nginx counts in, so
 * that both admit the same requests.
 */
export interface BucketLimit {
  /** Thousandths of a request that leak away in a second. */
  readonly rate: number;
  /** Thousandths of a request that may be over. */
  readonly burst: number;
}

/**
 * Ten a minute and five at once, as `rate=10r/m` and `burst=5 nodelay` have it (contract §9). nginx cuts
 * 166.67 to a whole number.
 */
export const TEN_A_MINUTE: BucketLimit = { rate: Math.floor((10 * 1000) / 60), burst: 5 * 1000 };

/** What is left over of earlier requests, and when that was counted. */
export interface Bucket {
  readonly excess: number;
  /** Milliseconds, of whatever clock. */
  readonly countedAt: number;
}

/** After so long every bucket is as good as new: the fullest one is empty after 36 s. Milliseconds. */
export const FORGOTTEN_AFTER = 60_000;

/**
 * One more request: the bucket after it, or null where it is one too many. A refused request counts for
 * nothing (ngx_http_limit_req_lookup). The first one is not poured: it finds no bucket and leaves an empty one.
 */
export function pour(bucket: Bucket, now: number, { rate, burst }: BucketLimit): Bucket | null {
  const passed = passedSince(bucket, now);
  const excess = Math.max(0, bucket.excess - Math.floor((rate * passed) / 1000) + 1000);
  if (excess > burst) return null;
  return { excess, countedAt: passed === 0 ? bucket.countedAt : now };
}

/** Milliseconds after which a refused request would be admitted, if none comes before it. */
export function waitFor(bucket: Bucket, now: number, { rate, burst }: BucketLimit): number {
  return Math.max(1, Math.ceil(((bucket.excess + 1000 - burst) * 1000) / rate) - passedSince(bucket, now));
}

/** A clock that was set back stands still. */
function passedSince({ countedAt }: Bucket, now: number): number {
  return Math.max(0, now - countedAt);
}
