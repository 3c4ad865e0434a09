import { parseArgs } from 'node:util';
import { loadConfig } from '../config/config.ts';
import { describeConfig } from '../config/describe-config.ts';
import { command, complain, OK, print } from './command.ts';

const HELP = `Usage: gateway check [--json]

Checks the environment and the routes file as a start would, without starting anything. Prints the effective
configuration with secrets masked, or every fault there is, one line each, with exit code 78.

  --json    the configuration as one JSON object

Examples
  gateway check
  NODE_ENV=production ROUTES_FILE=routes.json gateway check
  gateway check --json | jq .routes`;

export const checkCommand = command('check the environment and the routes file', HELP, async (args) => {
  const { values } = parseArgs({ args, options: { json: { type: 'boolean', default: false } } });
  const config = loadConfig(process.env);
  const described = describeConfig(config);
  if (values.json) {
    print(JSON.stringify(described));
    return OK;
  }
  for (const [name, value] of Object.entries(described)) {
    if (name !== 'routes')
      print(`${name.padEnd(22)}${typeof value === 'string' ? value : JSON.stringify(value)}`);
  }
  print('routes');
  for (const { prefix, service, targets, permission, compute, timeout } of config.routes) {
    const needs = `${permission ?? 'by method and path'}${compute ? ', quota' : ''}`;
    print(
      `  ${`${prefix}/`.padEnd(20)}${service.padEnd(16)}${targets.join(',')}  ${needs}, ${timeout / 1000} s`,
    );
  }
  for (const name of ['JWT_SECRET', 'GATEWAY_SECRET']) {
    if (!process.env[name]) complain(`${name} is not set: a start outside production draws a random one`);
  }
  complain('the configuration has no faults');
  return OK;
});
