/** One entry of the trail, wherever it was read from. */
export interface TrailEntry {
  /** Id in the stream; null where it comes from a file without ids. */
  readonly id: string | null;
  /** How a person finds it: the id, or file and line. */
  readonly place: string;
  /** Exact text of the event; null where the entry has none. */
  readonly data: string | null;
  /** Empty where it has none. */
  readonly sig: string;
}
