import { z } from 'zod';
import type { EngineClient, EngineFault } from './engine-client.ts';

const names = z
  .array(z.string())
  .nullish()
  .transform((list) => list ?? []);
const id = z.union([z.int(), z.string().min(1).max(255)]).transform(String);

/** IAM's yes (contract §3). Anything that does not fit is not a yes. */
const validAnswer = z.object({
  valid: z.literal(true),
  user_id: id,
  email: z.string().nullish(),
  roles: names,
  permissions: names,
  org_id: id.nullish(),
});

/** What IAM knows about the owner of a valid token. */
interface IamAccount {
  readonly userId: string;
  readonly email: string | null;
  readonly roles: readonly string[];
  readonly permissions: readonly string[];
  readonly organizationId: string | null;
}

export type IamAnswer =
  | { readonly account: IamAccount }
  | { readonly refused: true }
  | { readonly fault: EngineFault };

/** Asks IAM whether a token is valid (`POST /auth/validate`). */
export class Iam {
  readonly #client: EngineClient;

  constructor(client: EngineClient) {
    this.#client = client;
  }

  async validate(token: string): Promise<IamAnswer> {
    const answer = await this.#client.post('/auth/validate', { token });
    if ('fault' in answer) return answer;
    const parsed = validAnswer.safeParse(answer.body);
    if (!parsed.success) {
      const valid = typeof answer.body === 'object' && answer.body !== null && 'valid' in answer.body;
      return valid ? { refused: true } : { fault: 'error' };
    }
    const { user_id, email, roles, permissions, org_id } = parsed.data;
    return {
      account: { userId: user_id, email: email ?? null, roles, permissions, organizationId: org_id ?? null },
    };
  }
}
