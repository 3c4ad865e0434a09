import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Member, Roster } from '../../../src/pipeline/roster.ts';

describe('a roster', () => {
  it('holds what a set would, whatever comes and goes', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(9))), (steps) => {
        const members: Member[] = Array.from({ length: 10 }, () => ({}));
        const roster = new Roster<Member>();
        const set = new Set<Member>();
        for (const [add, index] of steps) {
          const member = members[index] ?? {};
          if (add && !set.has(member)) {
            roster.add(member);
            set.add(member);
          } else if (!add) {
            roster.delete(member);
            set.delete(member);
          }
        }
        expect(new Set(roster)).toEqual(set);
        expect(roster.size).toBe(set.size);
      }),
    );
  });

  it('can be walked while its members leave', () => {
    const roster = new Roster<Member>();
    for (let i = 0; i < 5; i++) roster.add({});
    let seen = 0;
    for (const member of roster) {
      seen++;
      roster.delete(member);
    }
    expect([seen, roster.size]).toEqual([5, 0]);
  });
});
