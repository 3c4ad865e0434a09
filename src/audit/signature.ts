import { hash, timingSafeEqual } from 'node:crypto';

/** Block length of SHA-256, in bytes. */
const BLOCK = 64;

/** Length of a signature: `v1:` and 32 bytes in hex. */
export const SIGNATURE_LENGTH = 67;

/** Signs audit events as the platform's security-audit service checks them (contract §6). */
export class AuditSigner {
  readonly #events: Mac;
  readonly #intents: Mac;

  constructor(jwtSecret: string) {
    const key = hash('sha256', `omnibioai-audit-events:${jwtSecret}`, 'buffer');
    this.#events = new Mac(key, 'v1\ngateway\n');
    this.#intents = new Mac(key, 'v1\ngateway-intent\n');
  }

  /** @param data the exact text of the `data` field, or its bytes */
  sign(data: string | Buffer): string {
    return `v1:${this.#events.of(data)}`;
  }

  /** Signs a promise of an event; never valid as the signature of an event. */
  signIntent(data: string | Buffer): string {
    return `v1:${this.#intents.of(data)}`;
  }

  verify(data: string, signature: string): boolean {
    return equal(this.sign(data), signature);
  }

  verifyIntent(data: string, signature: string): boolean {
    return equal(this.signIntent(data), signature);
  }
}

/**
 * HMAC-SHA256 (RFC 2104) of texts that begin alike, by two digests of prepared bytes: half the time of `createHmac`,
 * which sets up a stream and looks its algorithm up for each text.
 */
class Mac {
  /** What is hashed first: the padded key, the prefix, the text. Grows with the texts. */
  #inner: Buffer;
  readonly #start: number;
  /** What is hashed then: the padded key, the digest of the first. */
  readonly #outer = Buffer.alloc(BLOCK + 32);

  /** @param key not longer than a block */
  constructor(key: Buffer, prefix: string) {
    this.#inner = Buffer.concat([padded(key, 0x36), Buffer.from(prefix)]);
    this.#start = this.#inner.length;
    padded(key, 0x5c).copy(this.#outer);
  }

  /** In hex. */
  of(text: string | Buffer): string {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text;
    const end = this.#start + bytes.length;
    if (end > this.#inner.length)
      this.#inner = Buffer.concat([this.#inner.subarray(0, this.#start)], end * 2);
    bytes.copy(this.#inner, this.#start);
    this.#outer.write(hash('sha256', this.#inner.subarray(0, end), 'latin1'), BLOCK, 'latin1');
    return hash('sha256', this.#outer);
  }
}

function padded(key: Buffer, byte: number): Buffer {
  const block = Buffer.alloc(BLOCK, byte);
  key.forEach((value, i) => {
    block[i] = value ^ byte;
  });
  return block;
}

function equal(right: string, given: string): boolean {
  const [a, b] = [Buffer.from(right), Buffer.from(given)];
  return a.length === b.length && timingSafeEqual(a, b);
}
