/**
 * The fewest elements that must be taken out so that the rest ascends: all but a longest ascending
 * subsequence. Gives their indexes. O(n log n).
 */
export function displaced(values: readonly number[]): number[] {
  /** For each length, the index of the smallest value an ascending run of that length can end with. */
  const ends: number[] = [];
  const before: number[] = [];
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    let low = 0;
    for (let high = ends.length; low < high; ) {
      const middle = (low + high) >> 1;
      if ((values[ends[middle] ?? 0] ?? 0) < value) low = middle + 1;
      else high = middle;
    }
    before[i] = low === 0 ? -1 : (ends[low - 1] ?? -1);
    ends[low] = i;
  }
  const kept = new Set<number>();
  for (let i = ends.at(-1) ?? -1; i !== -1; i = before[i] ?? -1) kept.add(i);
  return values.map((_value, i) => i).filter((i) => !kept.has(i));
}
