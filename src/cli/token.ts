import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { SignJWT } from 'jose';
import { loadConfig } from '../config/config.ts';
import { command, OK, print, UsageError } from './command.ts';

const HELP = `Usage: gateway token --user ID [options]

Prints an access token signed with JWT_SECRET, for trying things out. Not in production. The gateway asks IAM
about it like about any other: IAM has to know the user, or be the sandbox's.

  --user ID            user id (sub)
  --email ADDRESS      default user-ID@localhost
  --role NAME          may be given several times
  --permission NAME    may be given several times
  --org ID             organisation; default none
  --lifetime SECONDS   default 900

Examples
  gateway token --user 1 --role researcher --permission workflow.execute --org 10
  curl -H "Authorization: Bearer $(gateway token --user 1)" localhost:8080/auth/verify`;

export const tokenCommand = command('print a token for development', HELP, async (args) => {
  const { values } = parseArgs({
    args,
    options: {
      user: { type: 'string' },
      email: { type: 'string' },
      role: { type: 'string', multiple: true, default: [] },
      permission: { type: 'string', multiple: true, default: [] },
      org: { type: 'string' },
      lifetime: { type: 'string', default: '900' },
    },
  });
  const config = loadConfig(process.env);
  if (config.production) throw new UsageError('NODE_ENV is production: tokens come from IAM alone');
  if (config.jwtSecret === '') throw new UsageError('JWT_SECRET is not set, expected that of the gateway');
  if (values.user === undefined) throw new UsageError('--user is missing, expected a user id');
  const lifetime = Number(values.lifetime);
  if (!Number.isInteger(lifetime) || lifetime < 1) {
    throw new UsageError(`--lifetime: expected a whole number of seconds, got "${values.lifetime}"`);
  }
  const now = Math.floor(Date.now() / 1000);
  const token = new SignJWT({
    sub: values.user,
    email: values.email ?? `user-${values.user}@localhost`,
    roles: values.role,
    permissions: values.permission,
    org_id: values.org === undefined ? null : idOf(values.org),
    type: 'access',
    token_version: 1,
    jti: randomUUID(),
    iat: now,
    exp: now + lifetime,
    iss: config.issuer ?? 'omnibioai-auth',
    aud: config.audience ?? 'omnibioai-platform',
  }).setProtectedHeader({ alg: 'HS256', typ: 'JWT' });
  print(await token.sign(new TextEncoder().encode(config.jwtSecret)));
  return OK;
});

/** IAM's organisation ids are numbers. */
function idOf(text: string): number | string {
  return /^\d{1,15}$/.test(text) ? Number(text) : text;
}
