import { UsageError } from '../command.ts';

/** A range of the trail by arrival: ids of the stream, inclusive. */
export interface TimeRange {
  /** `-`: from the beginning. */
  readonly from: string;
  /** `+`: to the end. */
  readonly to: string;
}

const STREAM_ID = /^\d{13,}-\d+$/;

/** Reads `--from` and `--to`: a time as ISO 8601 (UTC where no zone is given), or an id of the stream. */
export function timeRange(values: { readonly from?: string; readonly to?: string }): TimeRange {
  return {
    from: values.from === undefined ? '-' : idOf(values.from, '--from', 0),
    to: values.to === undefined ? '+' : idOf(values.to, '--to', -1),
  };
}

/** Whether an event of a file, which has no id, is within the range by its own time. */
export function isWithin({ from, to }: TimeRange, timestamp: number): boolean {
  return (
    (from === '-' || timestamp >= millisecondsOf(from)) && (to === '+' || timestamp <= millisecondsOf(to))
  );
}

/** @param shift milliseconds: a range ends before the time it is given */
function idOf(text: string, option: string, shift: number): string {
  if (STREAM_ID.test(text)) return text;
  const zoned = /T.*(Z|[+-]\d\d:?\d\d)$/.test(text) || !text.includes('T') ? text : `${text}Z`;
  const time = Date.parse(zoned);
  if (Number.isNaN(time)) {
    throw new UsageError(
      `${option}: expected a time such as 2026-01-31T12:00:00Z or an id of the stream, got "${text}"`,
    );
  }
  return String(time + shift);
}

function millisecondsOf(id: string): number {
  return Number(id.split('-', 1)[0]);
}
