import { createHash, generateKeyPairSync, type KeyObject, randomBytes, randomUUID } from 'node:crypto';
import { decodeJwt, exportJWK, type JWK, jwtVerify, SignJWT } from 'jose';
import type { RedisClient } from '../redis/open-redis.ts';
import { type Address, type Call, fieldsOf, JsonService, type Reply } from './http-service.ts';
import { type SandboxUser, USERS } from './users.ts';

const REFRESH_LIFETIME = 7 * 24 * 3600;

export interface IamOptions extends Address {
  readonly jwtSecret: string;
  /** Lifetime of access tokens in seconds. */
  readonly accessLifetime?: number;
  readonly algorithm?: 'HS256' | 'RS256';
  /** Where logouts are announced; null: they are known to IAM alone. */
  readonly redis?: RedisClient | null;
  /** Who knows it may exchange API keys; nobody without. */
  readonly apiKeyExchangeSecret?: string;
}

/** What a token may be given beside the usual claims; undefined removes a claim. */
export type ClaimOverrides = Readonly<Record<string, unknown>> & { readonly alg?: 'HS256' | 'RS256' };

interface SigningKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly kid: string;
  readonly jwk: JWK;
}

/** IAM as the platform's omnibioai-auth shows itself on the wire. Knows the sandbox's users only. */
export class SandboxIam {
  readonly service: JsonService;
  readonly #options: IamOptions;
  readonly #secret: Uint8Array;
  readonly #revoked = new Set<string>();
  readonly #suspended = new Set<string>();
  readonly #apiKeys = new Map<string, { readonly id: number; readonly user: SandboxUser }>();
  #key: SigningKey;

  private constructor(service: JsonService, options: IamOptions, key: SigningKey) {
    this.service = service;
    this.#options = options;
    this.#secret = new TextEncoder().encode(options.jwtSecret);
    this.#key = key;
  }

  static async start(options: IamOptions): Promise<SandboxIam> {
    const holder: { iam?: SandboxIam } = {};
    const service = await JsonService.start(
      (call) => holder.iam?.answer(call) ?? { status: 503, body: {} },
      options,
    );
    holder.iam = new SandboxIam(service, options, await newKey());
    return holder.iam;
  }

  get url(): string {
    return this.service.url;
  }

  close(): Promise<void> {
    return this.service.close();
  }

  /** Signs a token with the usual claims of `user`, changed by `overrides`. */
  issue(user: SandboxUser, overrides: ClaimOverrides = {}): Promise<string> {
    const { alg = this.#options.algorithm ?? 'HS256', ...claims } = overrides;
    const now = Math.floor(Date.now() / 1000);
    return this.sign(
      {
        sub: String(user.id),
        email: user.email,
        roles: user.roles,
        permissions: user.permissions,
        org_id: user.organizationId,
        org_role: ['member'],
        type: 'access',
        jti: randomUUID(),
        iat: now,
        exp: now + (this.#options.accessLifetime ?? 900),
        iss: 'omnibioai-auth',
        aud: 'omnibioai-platform',
        token_version: 1,
        ...claims,
      },
      alg,
    );
  }

  /** Signs any claims. */
  sign(claims: Readonly<Record<string, unknown>>, alg: 'HS256' | 'RS256'): Promise<string> {
    const jwt = new SignJWT({ ...claims });
    return alg === 'HS256'
      ? jwt.setProtectedHeader({ alg, typ: 'JWT' }).sign(this.#secret)
      : jwt.setProtectedHeader({ alg, typ: 'JWT', kid: this.#key.kid }).sign(this.#key.privateKey);
  }

  /** From now on every token of the user is invalid; nobody is told. */
  suspend(userId: number): void {
    this.#suspended.add(String(userId));
  }

  /** From now on one token is invalid; nobody is told. */
  revoke(token: string): void {
    const { jti } = decodeJwt(token);
    if (typeof jti === 'string') this.#revoked.add(jti);
  }

  reinstate(userId: number): void {
    this.#suspended.delete(String(userId));
  }

  /** Replaces the RS256 key; tokens of the old one are no longer valid. */
  async rotateKey(): Promise<void> {
    this.#key = await newKey();
  }

  /** Logs a session out as the platform's IAM does it (contract §3). */
  async logout(refreshToken: string, accessToken: string | null): Promise<void> {
    const claims = decodeJwt(refreshToken);
    if (typeof claims.jti === 'string') this.#revoked.add(claims.jti);
    const access = accessToken === null ? null : decodeJwt(accessToken);
    if (typeof access?.jti === 'string') this.#revoked.add(access.jti);
    const { redis } = this.#options;
    if (redis === undefined || redis === null) return;
    if (typeof access?.jti === 'string') {
      const remaining = Math.max(1, (access.exp ?? 0) - Math.floor(Date.now() / 1000));
      await redis.setex(`blacklist:jti:${access.jti}`, remaining, '1');
    }
    await redis.publish('policy:invalidate', JSON.stringify({ user_id: claims.sub, token: refreshToken }));
  }

  createApiKey(user: SandboxUser): string {
    const key = `omni_sk_live_${randomBytes(24).toString('base64url')}`;
    this.#apiKeys.set(key, { id: this.#apiKeys.size + 1, user });
    return key;
  }

  /** Revokes a key and announces it, as the platform's IAM does it (contract §3). */
  async revokeApiKey(key: string): Promise<void> {
    this.#apiKeys.delete(key);
    const digest = createHash('sha256').update(key).digest('hex');
    await this.#options.redis?.publish('policy:invalidate', JSON.stringify({ api_key_hash: digest }));
  }

  async answer(call: Call): Promise<Reply> {
    const body = fieldsOf(call.body);
    switch (`${call.method} ${call.path}`) {
      case 'POST /auth/login':
        return this.#login(body);
      case 'POST /auth/refresh':
        return this.#refresh(body);
      case 'POST /auth/logout':
        await this.logout(
          String(body.refresh_token),
          /^bearer (.+)$/i.exec(call.headers.authorization ?? '')?.[1] ?? null,
        );
        return { body: { status: 'logged out' } };
      case 'POST /auth/validate':
        if (typeof call.body !== 'object' || call.body === null)
          return { status: 422, body: { detail: 'not an object' } };
        return { body: await this.#validate(body) };
      case 'POST /auth/api-keys/exchange':
        return this.#exchange(String(body.api_key), call.headers['x-api-key-exchange-secret']);
      case 'GET /.well-known/jwks.json':
        return { body: { keys: [this.#key.jwk] } };
      default:
        return { status: 404, body: { detail: 'Not Found' } };
    }
  }

  async #login({ email, password }: Record<string, unknown>): Promise<Reply> {
    const user = Object.values(USERS).find((one) => one.email === email && one.password === password);
    return user === undefined
      ? { status: 401, body: { detail: 'Invalid credentials' } }
      : { body: await this.#session(user) };
  }

  async #refresh({ refresh_token: token }: Record<string, unknown>): Promise<Reply> {
    const claims = await this.#verified(token);
    const user = Object.values(USERS).find(({ id }) => String(id) === claims?.sub);
    if (user === undefined || claims?.type !== 'refresh')
      return { status: 401, body: { detail: 'Invalid token' } };
    return { body: await this.#session(user) };
  }

  async #exchange(apiKey: string, secret: unknown): Promise<Reply> {
    const expected = this.#options.apiKeyExchangeSecret;
    if (expected === undefined)
      return { status: 503, body: { detail: 'API key exchange is not configured' } };
    if (secret !== expected) return { status: 403, body: { detail: 'Forbidden' } };
    const known = this.#apiKeys.get(apiKey);
    if (known === undefined || this.#suspended.has(String(known.user.id)))
      return { status: 401, body: { detail: 'Invalid API key' } };
    const lifetime = 300;
    return {
      body: {
        access_token: await this.issue(known.user, {
          auth_method: 'api_key',
          exp: Math.floor(Date.now() / 1000) + lifetime,
        }),
        expires_in: lifetime,
        api_key_id: known.id,
        organization_id: known.user.organizationId,
        user_id: known.user.id,
        permissions: known.user.permissions,
      },
    };
  }

  async #session(user: SandboxUser): Promise<object> {
    const now = Math.floor(Date.now() / 1000);
    return {
      access_token: await this.issue(user),
      refresh_token: await this.issue(user, { type: 'refresh', exp: now + REFRESH_LIFETIME }),
      token_type: 'bearer',
      expires_in: this.#options.accessLifetime ?? 900,
    };
  }

  /** Whatever its type, as the platform's IAM does it: refusing refresh tokens is the gateway's business. */
  async #validate({ token }: Record<string, unknown>): Promise<object> {
    const claims = await this.#verified(token);
    if (claims === null || claims.sub === undefined) return { valid: false };
    return {
      valid: true,
      user_id: Number(claims.sub),
      email: claims.email,
      roles: claims.roles ?? [],
      permissions: claims.permissions ?? [],
      org_id: claims.org_id ?? null,
      org_role: claims.org_role ?? [],
      team_id: null,
      team_role: null,
      auth_method: 'password',
      idp_org_id: null,
      schema_version: 2,
    };
  }

  async #verified(token: unknown): Promise<Record<string, unknown> | null> {
    try {
      const text = String(token);
      const { payload } = await jwtVerify(
        text,
        ({ alg }) => (alg === 'RS256' ? this.#key.publicKey : this.#secret),
        {
          algorithms: ['HS256', 'RS256'],
        },
      );
      const gone = this.#revoked.has(String(payload.jti)) || this.#suspended.has(String(payload.sub));
      return gone ? null : payload;
    } catch {
      return null;
    }
  }
}

async function newKey(): Promise<SigningKey> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = publicKey.export({ type: 'spki', format: 'pem' });
  const kid = createHash('sha256').update(pem).digest('hex').slice(0, 16);
  return {
    privateKey,
    publicKey,
    kid,
    jwk: { ...(await exportJWK(publicKey)), kid, use: 'sig', alg: 'RS256' },
  };
}
