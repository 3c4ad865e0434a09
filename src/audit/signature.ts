import { createHmac, hash } from 'node:crypto';

/** Signs audit events as the platform's security-audit service checks them (contract §6). */
export class AuditSigner {
  readonly #key: Buffer;

  constructor(jwtSecret: string) {
    this.#key = hash('sha256', `omnibioai-audit-events:${jwtSecret}`, 'buffer');
  }

  /** @param data the exact text of the `data` field */
  sign(data: string): string {
    return `v1:${createHmac('sha256', this.#key).update(`v1\ngateway\n${data}`).digest('hex')}`;
  }
}
