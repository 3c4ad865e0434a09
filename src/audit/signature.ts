import { createHmac, hash, timingSafeEqual } from 'node:crypto';

/** Signs audit events as the platform's security-audit service checks them (contract §6). */
export class AuditSigner {
  readonly #key: Buffer;

  constructor(jwtSecret: string) {
    this.#key = hash('sha256', `omnibioai-audit-events:${jwtSecret}`, 'buffer');
  }

  /** @param data the exact text of the `data` field */
  sign(data: string): string {
    return this.#mac('gateway', data);
  }

  /** Signs a promise of an event; never valid as the signature of an event. */
  signIntent(data: string): string {
    return this.#mac('gateway-intent', data);
  }

  verify(data: string, signature: string): boolean {
    return equal(this.sign(data), signature);
  }

  verifyIntent(data: string, signature: string): boolean {
    return equal(this.signIntent(data), signature);
  }

  #mac(service: string, data: string): string {
    return `v1:${createHmac('sha256', this.#key).update(`v1\n${service}\n${data}`).digest('hex')}`;
  }
}

function equal(right: string, given: string): boolean {
  const [a, b] = [Buffer.from(right), Buffer.from(given)];
  return a.length === b.length && timingSafeEqual(a, b);
}
