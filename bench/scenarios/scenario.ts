import type { SubjectName } from '../harness/subjects.ts';
import type { LoadSpec, TokenChoice } from '../load/spec.ts';

/** A load without what depends on the run: ports, times, secrets. */
export interface Shape {
  readonly kind: LoadSpec['kind'];
  readonly method: LoadSpec['method'];
  readonly paths: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly bodySize: number;
  readonly connections: number;
  readonly tokens: Omit<TokenChoice, 'secret' | 'issuedAt'>;
  readonly draw: LoadSpec['draw'];
  readonly expect: number;
}

/** One server under one load. */
export interface Case {
  /** Unique in the whole bench; results are compared by it. */
  readonly id: string;
  readonly title: string;
  readonly subject: SubjectName;
  readonly shape: Shape;
  /** Left out of a quick run. */
  readonly fullOnly?: boolean;
  /** Tokens to be known before anything is measured: so many users each ask once. */
  readonly fill?: number;
}

/** Cases that are measured in turn, so that each round sees all of them on the same state of the machine. */
export interface Scenario {
  readonly id: string;
  readonly title: string;
  /** What to know when reading the figures. */
  readonly note: string;
  /** How often the servers are started anew (1): two starts of one program may be a fifth apart. */
  readonly starts?: number;
  readonly cases: readonly Case[];
}

/** The warm GET, changed by `changes`. */
export function shape(changes: Partial<Shape> = {}): Shape {
  return {
    kind: 'kept',
    method: 'GET',
    paths: ['/api/lims/samples/123'],
    headers: { accept: 'application/json', 'user-agent': 'bench' },
    body: '',
    bodySize: 0,
    connections: 64,
    tokens: users(1),
    draw: 'uniform',
    expect: 200,
    ...changes,
  };
}

/** Tokens of `count` users. */
export function users(count: number): Shape['tokens'] {
  return { from: 1, count, spoil: '' };
}
