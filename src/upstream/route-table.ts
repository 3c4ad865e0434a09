import type { Route } from '../config/routes.ts';
import type { RequestTarget, SafePath } from './request-target.ts';

/** A route found for a path, and how much of the path is its prefix. */
export interface RouteMatch {
  readonly route: Route;
  readonly prefixLength: number;
}

/** The path behind the prefix; empty for the prefix itself. */
function restOf({ prefixLength }: RouteMatch, path: SafePath): string {
  return path.slice(prefixLength);
}

/** The path in the old form, as policy judges it. */
export function resourceOf(match: RouteMatch, path: SafePath): string {
  return match.route.legacyPrefix + restOf(match, path);
}

/** What the service is asked for: path without the prefix, and query. */
export function upstreamPathOf(match: RouteMatch, { path, query }: RequestTarget): string {
  return withQuery(restOf(match, path), query);
}

/** A path for a service, `/` at least, and the query. */
export function withQuery(path: string, query: string): string {
  return query === '' ? path || '/' : `${path || '/'}?${query}`;
}

/** Finds the route of a path by its longest prefix: one slice and one Map hit per distinct prefix depth. */
export class RouteTable {
  /** Prefixes grouped by their number of segments, deepest first. */
  readonly #depths: readonly {
    readonly segments: number;
    readonly matches: ReadonlyMap<string, RouteMatch>;
  }[];

  constructor(routes: readonly Route[]) {
    const depths = new Map<number, Map<string, RouteMatch>>();
    for (const route of routes) {
      const prefixes = route.acceptsLegacyPrefix ? [route.prefix, route.legacyPrefix] : [route.prefix];
      for (const prefix of prefixes) {
        const segments = prefix.split('/').length - 1;
        const matches = depths.get(segments) ?? new Map<string, RouteMatch>();
        matches.set(prefix, { route, prefixLength: prefix.length });
        depths.set(segments, matches);
      }
    }
    this.#depths = [...depths]
      .map(([segments, matches]) => ({ segments, matches }))
      .sort((a, b) => b.segments - a.segments);
  }

  find(path: SafePath): RouteMatch | null {
    for (const { segments, matches } of this.#depths) {
      const end = endOfSegment(path, segments);
      if (end === -1) continue;
      const match = matches.get(end === path.length ? path : path.slice(0, end));
      if (match !== undefined) return match;
    }
    return null;
  }
}

/** Index behind the n-th segment, or -1 where the path has fewer. */
function endOfSegment(path: string, n: number): number {
  let slash = 0;
  for (let segment = 0; segment < n; segment++) {
    if (slash === -1) return -1;
    slash = path.indexOf('/', slash + 1);
  }
  return slash === -1 ? path.length : slash;
}
