import { LRUCache } from 'lru-cache';

/**
 * A cache of at most `max` entries, of which the least recently used leaves first. It takes memory as it fills: the
 * library's own `max` sets all of it aside at once, which for a worker's caches is 25 ms and 2 MB of each start, and
 * 640 MB at the largest that may be configured.
 * @param options.dispose told of each value that leaves
 */
export function lru<K extends object | string, V extends object>(
  max: number,
  options: { dispose?: (value: V) => void } = {},
): LRUCache<K, V> {
  return new LRUCache<K, V>({ maxSize: max, sizeCalculation: one, ...options });
}

function one(): number {
  return 1;
}
