import { capped, nullable } from './json-text.ts';

/** Who asked, as far as an event tells. One object per token serves many events. */
export interface AuditIdentity {
  readonly userId: string | null;
  readonly organizationId: string | null;
  readonly clientId: string | null;
  readonly tokenType: string;
}

/** What is the same for all events of an identity: encoded once. */
const texts = new WeakMap<AuditIdentity, string>();

const ANONYMOUS = `${head(null, null)}\n`;

/**
 * Two pieces of an event's JSON text, separated by a line feed, which JSON text cannot hold: the members at
 * its top level and those within `context`.
 */
export function identityText(identity: AuditIdentity | null): string {
  if (identity === null) return ANONYMOUS;
  let text = texts.get(identity);
  if (text === undefined) {
    const { userId, organizationId, tokenType, clientId } = identity;
    text =
      `${head(userId, organizationId)}\n,"token_type":${capped(tokenType)}` +
      (clientId === null ? '' : `,"client_id":${capped(clientId)}`);
    texts.set(identity, text);
  }
  return text;
}

function head(userId: string | null, organizationId: string | null): string {
  return (
    `"user_id":${nullable(userId ?? '')},"organization_id":${nullable(organizationId ?? '')},` +
    `"tenant_scope":"${organizationId ? 'organization' : 'unknown'}"`
  );
}
