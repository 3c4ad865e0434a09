import { drawer, randomSource } from './draw.ts';
import type { LoadSpec } from './spec.ts';
import { tokenFor } from './tokens.ts';

/** Path and headers of one request. */
export interface RequestParts {
  readonly path: string;
  readonly headers: Record<string, string>;
}

/** Gives the requests of a load, one after another. */
export function requestSource(spec: LoadSpec, seed: number): () => RequestParts {
  const { paths, tokens, draw, headers } = spec;
  const random = randomSource(seed);
  const nextPath = drawer(paths.length, draw, random);
  const nextToken = drawer(tokens.count, draw, random);
  let fresh = tokens.from + seed * 1_000_000;
  return () => {
    const path = paths[nextPath()] ?? '/';
    if (tokens.count === 0) return { path, headers: { ...headers } };
    const user = tokens.count === -1 ? fresh++ : tokens.from + nextToken();
    const token = tokenFor(tokens.secret, user, tokens.issuedAt) + tokens.spoil;
    return { path, headers: { ...headers, authorization: `Bearer ${token}` } };
  };
}

/** Whether all requests of a load are the same. */
export function isConstant({ paths, tokens }: LoadSpec): boolean {
  return paths.length === 1 && (tokens.count === 0 || tokens.count === 1);
}
