import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { type Config, loadConfig } from '../config/config.ts';
import type { Route } from '../config/routes.ts';
import { isSubmission } from '../pipeline/hpc.ts';
import { actionOf } from '../pipeline/policy.ts';
import { EngineClient } from '../platform/engine-client.ts';
import { HpcEngine } from '../platform/hpc-engine.ts';
import type { IdentityFacts } from '../platform/identity.ts';
import { PolicyEngine } from '../platform/policy-engine.ts';
import { NO_DEMAND } from '../platform/resource-demand.ts';
import { parseTarget, type RequestTarget } from '../upstream/request-target.ts';
import { RouteTable, resourceOf, upstreamPathOf, withQuery } from '../upstream/route-table.ts';
import { command, FAILED, OK, print, UsageError } from './command.ts';

const HELP = `Usage: gateway explain METHOD PATH [options]

Says what the gateway does with a request: which route it takes, what policy is asked, whether the quota is
asked, what would be refused and why. Asks nobody, but with --ask.

  --ask                ask the policy engine, and where it applies the HPC engine, about the caller below;
                       exit code 1 where one of them says no
  --user ID            default 0
  --role NAME          may be given several times
  --permission NAME    may be given several times
  --org ID             organisation; default none
  --json               one JSON object

Examples
  gateway explain GET "/api/tes/v1/tasks?view=FULL"
  gateway explain POST /api/tes/v1/tasks --ask --user 1 --role researcher --permission workflow.execute
  gateway explain GET /api/lims/%2e%2e/x`;

/** What happens to a request, by the step that decides; the first refusal ends it. */
type Explanation = Record<string, unknown>;

export const explainCommand = command('say what would happen to a request', HELP, async (args) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ask: { type: 'boolean', default: false },
      user: { type: 'string', default: '0' },
      role: { type: 'string', multiple: true, default: [] },
      permission: { type: 'string', multiple: true, default: [] },
      org: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const [methodText, target, ...more] = positionals;
  if (methodText === undefined || target === undefined || more.length > 0) {
    throw new UsageError('expected METHOD and PATH');
  }
  const method = methodText.toUpperCase();
  const config = loadConfig(process.env);
  const explanation = explain(method, target, config);
  let refused = 'refused' in explanation;
  if (values.ask && explanation.service !== undefined) {
    const facts = factsOf(values);
    const answers = await ask(config, facts, explanation, method);
    Object.assign(explanation, answers);
    refused ||= Object.values(answers).some((answer) => answer.startsWith('no'));
  }
  if (values.json) print(JSON.stringify(explanation));
  else for (const [name, value] of Object.entries(explanation)) print(`${name.padEnd(16)}${value}`);
  return values.ask && refused ? FAILED : OK;
});

function explain(method: string, text: string, config: Config): Explanation {
  if (method === 'TRACE' || method === 'CONNECT')
    return { refused: '405 method not allowed, before any stage' };
  const target = parseTarget(text);
  if (target === null) {
    return { refused: '400 bad request, ambiguous_path: two servers could read this path differently' };
  }
  const match = new RouteTable(config.routes).find(target.path);
  if (match === null) return explainOwn(method, target, config);
  const { route } = match;
  if (target.encodedSlash && !route.allowEncodedSlash) {
    return {
      route: `${route.prefix}/`,
      refused: '400 bad request, ambiguous_path: %2F, which this route does not allow',
    };
  }
  const resource = resourceOf(match, target.path);
  const path = upstreamPathOf(match, target);
  return {
    route: `${route.prefix}/`,
    service: route.service,
    target: route.targets.join(', '),
    'upstream path': path,
    auth: `a bearer token${route.services.length > 0 ? `, or the service token of ${route.services.join(', ')}` : ''}; without: 401 missing token`,
    action: actionOf(route, method, resource),
    resource,
    policy: 'asked, unless a decision is cached; a no, or no answer: 403 forbidden',
    quota: quotaOf(route, method, path),
    timeout: `${route.timeout / 1000} s to the head of the answer; then 504`,
    audit: 'one event',
  };
}

function explainOwn(method: string, target: RequestTarget, config: Config): Explanation {
  const path: string = target.path;
  const answer =
    method === 'GET' || method === 'HEAD' ? '200 by the gateway itself' : '405 method not allowed';
  if (path === '/health' || path === '/version') return { answer, audit: 'no event' };
  if (path === '/.well-known/jwks.json') return { answer, audit: 'one event' };
  if (path === '/auth/verify') {
    return { auth: 'a bearer token; without: 401', answer: '200 with user and headers', audit: 'one event' };
  }
  const account = new RouteTable(config.accountRoutes).find(target.path);
  if (account !== null) {
    const { route } = account;
    return {
      route: route.prefix,
      service: route.service,
      target: route.targets.join(', '),
      'upstream path': withQuery(resourceOf(account, target.path), target.query),
      auth: 'left to IAM; ten requests a minute for each client address, then 429',
      timeout: `${route.timeout / 1000} s to the head of the answer; then 504`,
      audit: 'one event',
    };
  }
  return {
    auth: 'a bearer token; without: 401',
    refused: '404 not found: no route has this prefix',
    audit: 'one event',
  };
}

function quotaOf(route: Route, method: string, path: string): string {
  if (!route.compute) return 'not asked';
  const no = 'a no, or no answer: 403 HPC quota exceeded';
  if (method === 'POST' && isSubmission(route, path)) return `asked with the demand in the body; ${no}`;
  return `asked with no demand; ${no}`;
}

function factsOf(values: {
  user: string;
  role: string[];
  permission: string[];
  org?: string;
}): IdentityFacts {
  return {
    userId: values.user,
    clientId: null,
    email: null,
    roles: values.role,
    permissions: values.permission,
    organizationId: values.org ?? null,
    tokenType: 'user',
    jti: null,
    expiresAt: Number.POSITIVE_INFINITY,
  };
}

async function ask(
  config: Config,
  facts: IdentityFacts,
  { action, resource, service, quota }: Explanation,
  method: string,
): Promise<Record<string, string>> {
  const traceId = randomUUID();
  const policyClient = new EngineClient(config.policyUrl, config.policyTimeout, () => {});
  const hpcClient = new EngineClient(config.hpcUrl, config.hpcTimeout, () => {});
  try {
    const policy = await new PolicyEngine(policyClient).evaluate({
      facts,
      action: String(action),
      resource: String(resource),
      service: String(service),
      method,
      traceId,
    });
    const answers = { 'policy says': sayOf(policy) };
    if (quota === 'not asked') return answers;
    const hpc = await new HpcEngine(hpcClient).evaluate(facts, NO_DEMAND, traceId);
    return { ...answers, 'quota says': `${sayOf(hpc)} (to no demand)` };
  } finally {
    await Promise.all([policyClient.close(), hpcClient.close()]);
  }
}

function sayOf({ allowed, reason }: { allowed: boolean; reason: string }): string {
  return `${allowed ? 'yes' : 'no'}: ${reason}`;
}
