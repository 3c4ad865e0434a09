import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ConfigError } from '../../../src/config/config.ts';
import { ConfigSource, openSnapshot } from '../../../src/config/config-source.ts';

const folder = mkdtempSync(join(tmpdir(), 'config-source-'));

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

test('the file overrides the environment and may take a variable back', () => {
  const ENV_FILE = file('a.env', 'IAM_URL=http://file:1\n# comment\nexport ROUTE_TIMEOUT="7"\n');
  const source = new ConfigSource({ ENV_FILE, IAM_URL: 'http://base:1', HPC_URL: 'http://base:3' });
  expect(source.read().config).toMatchObject({ iamUrl: 'http://file:1', hpcUrl: 'http://base:3' });
  file('a.env', '');
  expect(source.read().config.iamUrl).toBe('http://base:1');
});

test('secrets invented for development stay the same as long as the process lives', () => {
  const source = new ConfigSource({});
  const { config, snapshot, warnings } = source.read();
  expect(warnings).toHaveLength(2);
  expect(config.jwtSecret).toHaveLength(64);
  const again = source.read(snapshot).config;
  expect([again.jwtSecret, again.gatewaySecrets]).toEqual([config.jwtSecret, config.gatewaySecrets]);
  expect(new ConfigSource({}).read().config.jwtSecret).not.toBe(config.jwtSecret);
});

test('nothing is invented in production', () => {
  expect(() => new ConfigSource({ NODE_ENV: 'production' }).read()).toThrow(ConfigError);
});

test('a snapshot gives the same configuration after its files have changed', () => {
  const route = (prefix: string) =>
    JSON.stringify({ routes: [{ service: 'a', prefix, target: 'http://a:1' }] });
  const ROUTES_FILE = file('routes.json', route('/api/a'));
  const { config, snapshot } = new ConfigSource({ ROUTES_FILE, PATH: '/bin' }).read();
  file('routes.json', 'broken');
  // As a worker gets it: through a channel that carries JSON.
  expect(openSnapshot(JSON.parse(JSON.stringify(snapshot)))).toEqual(config);
  expect(snapshot.env).not.toHaveProperty('PATH');
});

test('what is bound to the process is kept and named', () => {
  const ENV_FILE = file('b.env', 'HOST=127.0.0.1\n');
  const source = new ConfigSource({ ENV_FILE });
  const { snapshot } = source.read();
  file('b.env', 'HOST=127.0.0.2\nADMIN_PORT=1\nWORKERS=3\n');
  const { config, warnings } = source.read(snapshot);
  expect(config).toMatchObject({ host: '127.0.0.1', adminPort: 9464, workers: 3 });
  expect(warnings.filter((warning) => warning.includes('next start'))).toEqual([
    'HOST changes with the next start only',
    'ADMIN_PORT changes with the next start only',
  ]);
});
