import { type Logger, pino } from 'pino';

export type { Logger };

/**
 * The process's logger: JSON lines to standard output. Nothing logs headers, tokens or bodies; the paths
 * redacted here are a second line of defence.
 */
export function createLogger(level: string, role: string): Logger {
  return pino({
    level,
    base: { service: 'gateway', role, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: ['token', 'authorization', 'secret', '*.token', '*.authorization', '*.secret'],
  });
}
