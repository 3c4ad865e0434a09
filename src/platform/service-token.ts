import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { headerLines } from '../upstream/header-lines.ts';

/** Lifetime of a service token, and how long before its end a new one is minted. Seconds. */
const LIFETIME = 300;
const RENEW_AHEAD = 60;

/** `iat` lies so far back: services refuse a token from the future, and clocks differ. Seconds. */
const BACKDATED = 10;

/** How often tokens are looked at. A process that slept renews within this. Milliseconds. */
const LOOK_INTERVAL = 10_000;

/**
 * The `X-Service-Token` of each upstream (contract §7): an HS256 JWT that says who calls and whom it may
 * call. Minted once per service and renewed ahead of its end, so that no request waits for a signature.
 */
export class ServiceTokens {
  readonly #secret: Uint8Array;
  /** Header lines by service. */
  readonly #lines = new Map<string, string>();
  readonly #timer: NodeJS.Timeout;
  /** Epoch milliseconds. */
  #renewAt = 0;

  private constructor(secret: string) {
    this.#secret = new TextEncoder().encode(secret);
    this.#timer = setInterval(() => {
      if (Date.now() >= this.#renewAt) void this.#mintAll();
    }, LOOK_INTERVAL);
    this.#timer.unref();
  }

  /** Mints the tokens of all `services`. */
  static async start(secret: string, services: readonly string[]): Promise<ServiceTokens> {
    const tokens = new ServiceTokens(secret);
    for (const service of services) tokens.#lines.set(service, '');
    await tokens.#mintAll();
    return tokens;
  }

  /** The lines that name the gateway to `service`; empty for one unknown at the start: it would accept no token. */
  linesFor(service: string): string {
    return this.#lines.get(service) ?? '';
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #mintAll(): Promise<void> {
    const now = Math.floor(Date.now() / 1000);
    this.#renewAt = (now + LIFETIME - RENEW_AHEAD) * 1000;
    for (const service of this.#lines.keys()) {
      const token = await this.#mint(service, now);
      this.#lines.set(service, headerLines(['X-Internal-Service', 'gateway', 'X-Service-Token', token]));
    }
  }

  #mint(service: string, now: number): Promise<string> {
    return new SignJWT({ service: 'gateway' })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setIssuer('omnibioai-api-gateway')
      .setAudience([service])
      .setIssuedAt(now - BACKDATED)
      .setExpirationTime(now + LIFETIME)
      .setJti(randomUUID())
      .sign(this.#secret);
  }
}
