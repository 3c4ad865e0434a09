import { expect, test } from 'vitest';
import { defaultRoutes, parseRoutesFile } from '../../../src/config/routes.ts';
import { parseTarget } from '../../../src/upstream/request-target.ts';
import { RouteTable } from '../../../src/upstream/route-table.ts';

const targets = {
  workbench: ['http://workbench:8000'],
  tes: ['http://tes:8081'],
  toolserver: ['http://toolserver:9090'],
  'model-registry': ['http://model-registry:8095'],
  rag: ['http://rag:8096'],
  lims: ['http://lims:7000'],
};

const defaults = { timeout: 15_000, maxBody: 1_000_000, maxConcurrency: 100 };

function find(table: RouteTable, target: string): [string, number] | null {
  const path = parseTarget(target)?.path;
  const match = path === undefined ? null : table.find(path);
  return match === null ? null : [match.route.service, match.prefixLength];
}

test('both public forms of every service are found', () => {
  const table = new RouteTable(defaultRoutes(targets, defaults));
  for (const [publicName, service] of [
    ['workbench', 'workbench'],
    ['tes', 'tes'],
    ['tools', 'toolserver'],
    ['models', 'model-registry'],
    ['rag', 'rag'],
    ['lims', 'lims'],
  ] as const) {
    expect(find(table, `/api/${publicName}/x`)).toEqual([service, `/api/${publicName}`.length]);
    expect(find(table, `/api/${publicName}`)).toEqual([service, `/api/${publicName}`.length]);
    expect(find(table, `/${service}/x/y?z`)).toEqual([service, `/${service}`.length]);
  }
});

test('a prefix ends at a segment', () => {
  const table = new RouteTable(defaultRoutes(targets, defaults));
  for (const target of ['/api/tesx', '/api', '/', '/api/unknown/x', '/testes/x', '/API/tes/x']) {
    expect(find(table, target)).toBeNull();
  }
});

test('the longest prefix wins', () => {
  const file = JSON.stringify({
    routes: [
      { service: 'outer', prefix: '/a/', target: 'http://outer' },
      { service: 'inner', prefix: '/a/b/c', target: 'http://inner' },
    ],
  });
  const table = new RouteTable(parseRoutesFile(file, defaults, () => '').routes);
  expect(find(table, '/a/b/c/d')).toEqual(['inner', 6]);
  expect(find(table, '/a/b/d')).toEqual(['outer', 2]);
});
