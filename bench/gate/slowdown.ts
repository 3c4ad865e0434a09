import { Server } from 'node:http';

/**
 * Loaded with `--import` into a gateway that the gate must find out about: every request costs `SLOWDOWN`
 * microseconds more. The product knows nothing of it.
 */
const milliseconds = Number(process.env.SLOWDOWN ?? 0) / 1000;
const emit = Server.prototype.emit;

Server.prototype.emit = function emitSlowly(
  this: Server,
  event: string | symbol,
  ...args: unknown[]
): boolean {
  if (event === 'request') {
    const until = performance.now() + milliseconds;
    while (performance.now() < until);
  }
  return emit.call(this, event, ...args);
};
