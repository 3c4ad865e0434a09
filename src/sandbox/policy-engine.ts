import { type Address, type Call, fieldsOf, JsonService, type Reply } from './http-service.ts';

const KNOWN_ROLES = ['admin', 'researcher', 'viewer', 'gpu_user', 'dgx_access', 'clinician', 'developer'];

/** A rule that forbids what all of its fields match. */
interface DenyRule {
  readonly role: string;
  readonly method: string;
  readonly reason: string;
}

const RULES: readonly DenyRule[] = [{ role: 'viewer', method: 'DELETE', reason: 'viewers may not delete' }];

/** The policy engine's behaviour on the wire (contract §4), its checks in its order. */
export async function startPolicyEngine(address?: Address): Promise<JsonService> {
  return JsonService.start(evaluate, address);
}

function evaluate(call: Call): Reply {
  if (call.method !== 'POST' || call.path !== '/policy/evaluate')
    return { status: 404, body: { detail: 'Not Found' } };
  if (typeof call.body !== 'object' || call.body === null)
    return { status: 422, body: { detail: 'invalid body' } };
  const question = fieldsOf(call.body);
  const { roles, permissions, action, org_id: organization } = question;
  for (const name of ['user_id', 'org_id', 'action', 'resource']) {
    if (typeof question[name] !== 'string' && !(name === 'org_id' && organization === null))
      return { status: 500, body: { detail: `${name} must be a string` } };
  }
  if (!Array.isArray(roles) || !Array.isArray(permissions))
    return { status: 422, body: { detail: 'invalid body' } };
  const context = fieldsOf(question.context);
  const admin = roles.includes('admin');

  if (!admin && !roles.some((role) => KNOWN_ROLES.includes(role))) return no('RBAC', 'no role allows this');
  const permissionNeeded = !String(action).includes('.') || /^[a-z_]+\.[a-z_]+$/.test(String(action));
  if (!admin && permissionNeeded && permissions.length > 0 && !permissions.includes(action)) {
    const method = String(context.method ?? '').toLowerCase();
    // An action made from method and path names no permission.
    if (!String(action).startsWith(`${method}.`)) return no('PERMISSION', `missing permission ${action}`);
  }
  const owner = context.resource_org_id;
  if (owner !== undefined && owner !== organization)
    return no('TENANCY', 'the resource belongs to another organization');
  if (context.gpu_required === true && !roles.includes('gpu_user'))
    return no('ABAC', 'GPU access needs the role gpu_user');
  const rule = RULES.find(({ role, method }) => roles.includes(role) && context.method === method);
  if (rule !== undefined) return no('RULES', rule.reason);
  return { body: { allowed: true, reason: 'all checks passed', policy_source: 'ALL_PASSED', context: {} } };
}

function no(source: string, reason: string): Reply {
  return { body: { allowed: false, reason, policy_source: source, context: {} } };
}
