import { createHmac, timingSafeEqual } from 'node:crypto';

const MAC_LENGTH = 43; // 32 bytes in base64url

/**
 * Seals cache records with a MAC, so that write access to Redis alone cannot invent an identity or a
 * decision. The key is derived from `JWT_SECRET` for this purpose only; the MAC covers the record's key
 * too, so that a genuine record cannot be moved to another token.
 */
export class RecordSeal {
  readonly #key: Buffer;

  constructor(jwtSecret: string) {
    this.#key = createHmac('sha256', jwtSecret).update('omnibioai-gateway/cache-record/v1').digest();
  }

  /** Gives the text to store for `content` under `key`. */
  close(key: string, content: string): string {
    return this.#mac(key, content).toString('base64url') + content;
  }

  /** Gives the content of a stored text, or null where the seal is not this gateway's. */
  open(key: string, sealed: string): string | null {
    const content = sealed.slice(MAC_LENGTH);
    const mac = Buffer.from(sealed.slice(0, MAC_LENGTH), 'base64url');
    const expected = this.#mac(key, content);
    return mac.length === expected.length && timingSafeEqual(mac, expected) ? content : null;
  }

  #mac(key: string, content: string): Buffer {
    return createHmac('sha256', this.#key).update(`${key}\n${content}`).digest();
  }
}
