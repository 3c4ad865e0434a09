import { describe, expect, it } from 'vitest';
import { drawer, randomSource } from '../../../bench/load/draw.ts';
import { tokenFor } from '../../../bench/load/tokens.ts';

function counts(law: 'uniform' | 'zipf', draws: number): number[] {
  const draw = drawer(100, law, randomSource(7));
  const seen = new Array<number>(100).fill(0);
  for (let i = 0; i < draws; i++) {
    const index = draw();
    seen[index] = (seen[index] ?? 0) + 1;
  }
  return seen;
}

describe('what the load draws', () => {
  it('draws by Zipf: the first ten times as often as the tenth', () => {
    const [first = 0, , , , , , , , , tenth = 0] = counts('zipf', 200_000);
    expect(first / tenth).toBeGreaterThan(8.5);
    expect(first / tenth).toBeLessThan(11.5);
  });

  it('draws all alike where asked to', () => {
    const seen = counts('uniform', 200_000);
    expect(Math.min(...seen)).toBeGreaterThan(1_700);
    expect(Math.max(...seen)).toBeLessThan(2_300);
  });

  it('repeats itself from run to run, tokens included', () => {
    const one = randomSource(3);
    const other = randomSource(3);
    expect([one(), one(), one()]).toEqual([other(), other(), other()]);
    expect(tokenFor('secret', 5, 1_000)).toBe(tokenFor('secret', 5, 1_000));
    expect(tokenFor('secret', 5, 1_000)).not.toBe(tokenFor('secret', 6, 1_000));
  });
});
