import { describe, expect, it } from 'vitest';
import { judge, type RoundRatio, TOLERANCE } from '../../../bench/gate/judge.ts';
import { randomSource } from '../../../bench/load/draw.ts';

const RECORDED = 1.4;
const LIMIT = RECORDED * (1 + TOLERANCE);

/** Rounds as a shared machine gives them: 4 % of noise both ways. */
function rounds(count: number, factor: number, seed: number, foreignLoad = 0): RoundRatio[] {
  const random = randomSource(seed);
  const noise = () => (random() + random() + random() - 1.5) * 0.08;
  return Array.from({ length: count }, () => ({ ratio: RECORDED * factor * (1 + noise()), foreignLoad }));
}

describe('the gate', () => {
  it('fails a slowdown of 15 %, whatever the noise', () => {
    for (let seed = 1; seed <= 200; seed++) {
      expect(judge(rounds(24, 1.15, seed), LIMIT).decision).toBe('slower');
    }
  });

  it('passes an unchanged gateway, whatever the noise', () => {
    for (let seed = 1; seed <= 200; seed++) {
      expect(judge(rounds(24, 1, seed), LIMIT).decision).toBe('pass');
    }
  });

  it('never fails anything while others use the machine', () => {
    for (let seed = 1; seed <= 50; seed++) {
      expect(judge(rounds(24, 1.5, seed, 0.8), LIMIT).decision).toBe('undecided');
    }
  });

  it('is not led astray by a few disturbed rounds among quiet ones', () => {
    const mixed = [...rounds(12, 1, 3), ...rounds(12, 1.4, 4, 1.2)];
    expect(judge(mixed, LIMIT).decision).toBe('pass');
  });

  it('says nothing after too few rounds', () => {
    expect(judge(rounds(3, 2, 1), LIMIT).decision).toBe('undecided');
  });
});
