import { type Estimate, estimate } from '../harness/statistics.ts';

/** One round's ratio of a case to its reference. */
export interface RoundRatio {
  readonly ratio: number;
  /** Cores that programs outside the bench kept busy meanwhile. */
  readonly foreignLoad: number;
}

type Decision = 'pass' | 'slower' | 'undecided';

/** How far a ratio to the gateway as it was may be above 1: a slowdown of 15 % is twice as far. */
export const TOLERANCE = 0.07;

/**
 * The same for ratios to a peer. What else uses the machine's caches slows the larger program down more: the ratio of
 * unchanged code was seen between 1.55 and 2.05 within minutes.
 */
export const PEER_TOLERANCE = 0.4;

/**
 * So many times its own error the middle of the rounds must be away from the limit. With an error of 4 %, as a shared
 * machine has it after 15 rounds, unchanged code is 15 % away from being called slower.
 */
const CERTAINTY = 2;

/** Fewer rounds say nothing. */
const LEAST_ROUNDS = 6;

/** With more than this taken by others, caches are cold for everybody, and for the larger program more so. Cores. */
const DISTURBED = 0.25;

/** What the rounds so far say about one ratio. */
export interface Judgement {
  readonly decision: Decision;
  readonly ratio: Estimate;
  readonly limit: number;
  /** Rounds during which the machine did nothing else. */
  readonly quietRounds: number;
}

/**
 * Compares rounds with what was recorded. "Slower" needs the middle of the quiet rounds to be clearly above the limit;
 * others at work on the machine never cause it. "Pass" needs the opposite, on whatever rounds there are, because
 * disturbance only makes the ratio look worse.
 * @param limit the ratio that may not be exceeded
 */
export function judge(rounds: readonly RoundRatio[], limit: number): Judgement {
  const quiet = rounds.filter(({ foreignLoad }) => foreignLoad <= DISTURBED).map(({ ratio }) => ratio);
  const all = estimate(rounds.map(({ ratio }) => ratio));
  const calm = estimate(quiet);
  const ratio = quiet.length >= LEAST_ROUNDS ? calm : all;
  const about = { ratio, limit, quietRounds: quiet.length };
  if (quiet.length >= LEAST_ROUNDS && calm.median - CERTAINTY * calm.error > limit)
    return { ...about, decision: 'slower' };
  if (rounds.length >= LEAST_ROUNDS && ratio.median + CERTAINTY * ratio.error < limit)
    return { ...about, decision: 'pass' };
  return { ...about, decision: 'undecided' };
}
