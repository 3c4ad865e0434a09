import { command, OK } from './command.ts';

const HELP = `Usage: gateway start

Starts the gateway: a primary process, WORKERS workers and the admin port. Everything is configured by
environment variables; faults are printed and end the start with exit code 78 (see gateway check).

  SIGTERM   finish what is in flight and stop

Examples
  gateway start
  PORT=8081 WORKERS=2 gateway start`;

export const startCommand = command('start the gateway', HELP, async () => {
  await import('../start.js');
  return OK;
});
