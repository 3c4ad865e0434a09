import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { VARIABLES } from '../../../src/config/config.ts';

const ROOT = new URL('../../../', import.meta.url);
const example = readFileSync(new URL('.env.example', ROOT), 'utf8');
const readme = readFileSync(new URL('README.md', ROOT), 'utf8');

/** Read by Compose, not by the gateway. */
const COMPOSE_ONLY = ['STUDIO_NETWORK', 'GATEWAY_BIND', 'GATEWAY_PORT'];

test('.env.example names every variable, and no other', () => {
  const named = [...example.matchAll(/^#?([A-Z][A-Z_]*)=/gm)].map(([, name]) => name);
  expect(named.toSorted()).toEqual([...VARIABLES, ...COMPOSE_ONLY].toSorted());
});

test('the README has a row for every variable', () => {
  const rows = [...readme.matchAll(/^\| (`[A-Z][^|]*) \|/gm)].map(([, names]) => names).join(' ');
  for (const name of VARIABLES) expect(rows).toContain(`\`${name}\``);
});
