import type { LoadResult } from '../load/spec.ts';

/** What `results.json` holds. */
export interface Results {
  readonly format: 1;
  /** ISO 8601. */
  readonly date: string;
  readonly quick: boolean;
  readonly machine: Machine;
  readonly scenarios: readonly ScenarioResult[];
  /** Peers that took no part, and why. */
  readonly absent: readonly { readonly title: string; readonly why: string }[];
  readonly footprint: Footprint | null;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly node: string;
  /** Whether server and load had cores of their own. */
  readonly pinned: boolean;
}

export interface ScenarioResult {
  readonly id: string;
  readonly title: string;
  readonly note: string;
  readonly cases: readonly CaseResult[];
}

export interface CaseResult {
  readonly id: string;
  readonly title: string;
  /** One per round. */
  readonly samples: readonly LoadResult[];
}

/** Memory and start of a gateway with one worker. Bytes and milliseconds. */
export interface Footprint {
  /** With nothing compiled before, and then with what the first start left. */
  readonly firstStart: number;
  readonly coldStart: readonly number[];
  readonly workerIdle: number;
  readonly treeIdle: number;
  readonly per10kConnections: number;
  readonly soak: Soak | null;
}

export interface Soak {
  readonly minutes: number;
  readonly requests: number;
  /** Live heap by snapshot, after the first and after the last part. */
  readonly heapBefore: number;
  readonly heapAfter: number;
  /** Resident memory of the worker after each tenth of the time. */
  readonly rss: readonly number[];
  /** Kinds of objects that grew most. */
  readonly growth: readonly { readonly kind: string; readonly bytes: number }[];
}

/** All cases of a run by id. */
export function casesOf(results: Results): Map<string, CaseResult> {
  return new Map(results.scenarios.flatMap(({ cases }) => cases.map((one) => [one.id, one])));
}
