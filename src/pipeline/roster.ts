/** Where a member stands in its roster; -1: in none. */
export const kPlace = Symbol('place');

export interface Member {
  [kPlace]?: number;
}

/**
 * What is there at the moment, of things that come and go by the thousand. Not a `Set`: that moves to a new table every
 * few dozen changes and its old table keeps pointing at the new one. Once the first is in the old generation, each
 * young collection takes the next one for alive, with the requests in it: a quarter of all garbage survived and was
 * collected the expensive way, for a sixth of the CPU time.
 */
export class Roster<T extends Member> implements Iterable<T> {
  readonly #members: T[] = [];

  get size(): number {
    return this.#members.length;
  }

  add(member: T): void {
    member[kPlace] = this.#members.push(member) - 1;
  }

  /** Takes a member off; the last one moves to its place. Nothing happens where it is not on the roster. */
  delete(member: T): void {
    const place = member[kPlace] ?? -1;
    if (this.#members[place] !== member) return;
    member[kPlace] = -1;
    const last = this.#members.pop();
    if (last === undefined || last === member) return;
    this.#members[place] = last;
    last[kPlace] = place;
  }

  /** Those there are now; who comes or goes meanwhile makes no difference. */
  [Symbol.iterator](): IterableIterator<T> {
    return this.#members.slice().values();
  }
}
