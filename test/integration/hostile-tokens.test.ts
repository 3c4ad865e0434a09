import { constants, generateKeyPairSync, sign } from 'node:crypto';
import { exportJWK } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { JsonService } from '../../src/sandbox/http-service.ts';
import { type Platform, startPlatform } from '../../src/sandbox/platform.ts';
import { ask } from '../setup/client.ts';
import { Gateway } from '../setup/gateway.ts';
import { accessClaims, accountClaims, hmac, jws, rsa, rsaKey, type Signer } from '../setup/jws.ts';

// Every token here is judged by the gateway alone: IAM says yes to whatever it is asked.
const YES = JSON.stringify({ valid: true, user_id: 1, roles: ['admin'], permissions: [], org_id: null });

const KID = '0123456789abcdef';
const rightKey = await rsaKey(KID);
const attackerKey = await rsaKey('attacker');

let platform: Platform;
let jwks: JsonService;
let attacker: JsonService;
let gateway: Gateway;
let strict: Gateway;
let secret: string;

beforeAll(async () => {
  platform = await startPlatform();
  secret = String(platform.env.JWT_SECRET);
  jwks = await JsonService.start(() => ({ body: { keys: [rightKey.jwk] } }));
  attacker = await JsonService.start(() => ({ body: { keys: [attackerKey.jwk] } }));
  platform.iam.service.fault = (path) => (path === '/auth/validate' ? { status: 200, body: YES } : undefined);
  const env = { ...platform.env, IAM_JWKS_URL: `${jwks.url}/.well-known/jwks.json` };
  gateway = await Gateway.start(env);
  strict = await Gateway.start({
    ...env,
    SERVICE_ACCOUNTS: 'on',
    IAM_ISSUER: 'omnibioai-auth',
    IAM_AUDIENCE: 'omnibioai-platform',
  });
});
afterAll(async () => {
  await Promise.all([gateway.stop(), strict.stop()]);
  await Promise.all([platform.close(), jwks.close(), attacker.close()]);
});

const HS = { alg: 'HS256', typ: 'JWT' };
const RS = { alg: 'RS256', typ: 'JWT', kid: KID };
const right: Signer = (input) => hmac(secret)(input);
const hs = (claims: object | string | Buffer, header: object | string = HS) => jws(header, claims, right);
const rs = (header: object, signer: Signer = rsa(rightKey.privateKey)) => jws(header, accessClaims(), signer);
const claimed = (claims: Readonly<Record<string, unknown>>) => hs(accessClaims(claims));
const unsigned: Signer = () => Buffer.alloc(0);

/** Signs what it is given with HMAC under something that is public. */
const confused = (key: string | Buffer) => jws({ ...HS, kid: KID }, accessClaims(), hmac(key));

/** Claims as text, with `member` written behind the others. */
const withText = (member: string) => `${JSON.stringify(accessClaims()).slice(0, -1)},${member}}`;

const { privateKey: ecKey, publicKey: ecPublic } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const { privateKey: edKey } = generateKeyPairSync('ed25519');
const ec: Signer = (input) => sign('sha256', Buffer.from(input), { key: ecKey, dsaEncoding: 'ieee-p1363' });
const ed: Signer = (input) => sign(null, Buffer.from(input), edKey);

async function refused(at: Gateway, authorization: string | string[], error = 'invalid token') {
  const before = platform.iam.service.count('/auth/validate');
  const answer = await ask(`${at.url}/api/lims/x`, { headers: { authorization } });
  expect([answer.status, answer.json.error]).toEqual([401, error]);
  expect(answer.json.reason).toBeUndefined();
  expect(platform.iam.service.count('/auth/validate')).toBe(before);
}

test('what IAM issues passes, so that the refusals below mean something', async () => {
  for (const at of [gateway, strict]) {
    for (const token of [hs(accessClaims()), rs(RS), claimed({ sub: 1 }), claimed({ exp: now() - 3 })]) {
      expect((await ask(`${at.url}/api/lims/x`, { token })).status).toBe(200);
    }
  }
  const old = accessClaims({ iss: undefined, aud: undefined, type: undefined, jti: undefined });
  expect((await ask(`${gateway.url}/api/lims/x`, { token: hs(old) })).status).toBe(200);
});

const now = () => Math.floor(Date.now() / 1000);

describe('algorithms (RFC 8725 §3.1, §3.2)', () => {
  test.each(['none', 'None', 'NONE', 'nOnE', '', 'HS256 ', 'hs256', 'Hs256', 'RS256\u0000'])(
    'alg %j, signed and unsigned',
    async (alg) => {
      for (const signer of [unsigned, right, rsa(rightKey.privateKey)]) {
        await refused(gateway, `Bearer ${jws({ alg, typ: 'JWT', kid: KID }, accessClaims(), signer)}`);
      }
    },
  );

  test.each([undefined, null, 0, true, ['HS256'], { alg: 'HS256' }])('alg %j', async (alg) => {
    await refused(gateway, `Bearer ${hs(accessClaims(), { alg, typ: 'JWT' })}`);
  });

  test.each([
    ['HS384', (i: string) => hmac(secret, 'sha384')(i)],
    ['HS512', (i: string) => hmac(secret, 'sha512')(i)],
    ['RS384', rsa(rightKey.privateKey, 'sha384')],
    ['RS512', rsa(rightKey.privateKey, 'sha512')],
    ['PS256', rsa(rightKey.privateKey, 'sha256', constants.RSA_PKCS1_PSS_PADDING)],
    ['ES256', ec],
    ['EdDSA', ed],
    ['Ed25519', ed],
    ['dir', right],
    ['RSA-OAEP', right],
  ] as [string, Signer][])('%s, rightly signed', async (alg, signer) => {
    await refused(gateway, `Bearer ${jws({ alg, typ: 'JWT', kid: KID }, accessClaims(), signer)}`);
  });

  test('HS256 keyed with the public key, however it is written', async () => {
    const { publicKey, jwk } = rightKey;
    const spki = String(publicKey.export({ type: 'spki', format: 'pem' }));
    for (const key of [
      spki,
      spki.trim(),
      spki.replaceAll('\n', '\r\n'),
      String(publicKey.export({ type: 'pkcs1', format: 'pem' })),
      publicKey.export({ type: 'spki', format: 'der' }),
      publicKey.export({ type: 'pkcs1', format: 'der' }),
      JSON.stringify(jwk),
      JSON.stringify({ keys: [jwk] }),
      String(jwk.n),
      Buffer.from(String(jwk.n), 'base64url'),
      KID,
    ]) {
      await refused(gateway, `Bearer ${confused(key)}`);
    }
  });

  test('RS256 under the secret, and the right key under the wrong algorithm', async () => {
    await refused(gateway, `Bearer ${rs(RS, right)}`);
    await refused(gateway, `Bearer ${rs(HS)}`);
  });
});

describe('keys (RFC 8725 §3.5, §3.10)', () => {
  test.each(['', 'secret', 'null', 'undefined', '0', 'change-me', '\u0000'])(
    'HS256 with secret %j',
    async (key) => {
      await refused(gateway, `Bearer ${jws(HS, accessClaims(), hmac(key))}`);
    },
  );

  test('another key under IAM’s name, under its own, and under odd names', async () => {
    const own = rsa(attackerKey.privateKey);
    await refused(gateway, `Bearer ${rs(RS, own)}`);
    for (const kid of [
      'attacker',
      '../../../../dev/null',
      '/dev/null',
      "' OR '1'='1",
      `${KID} `,
      '*',
      'a'.repeat(300),
    ]) {
      await refused(gateway, `Bearer ${rs({ ...RS, kid }, own)}`);
    }
    for (const kid of [undefined, null, 0, '', [KID], { kid: KID }]) {
      await refused(gateway, `Bearer ${rs({ ...RS, kid })}`);
    }
    for (const kid of [null, 0, '', [KID], '/dev/null'.repeat(40)]) {
      await refused(gateway, `Bearer ${hs(accessClaims(), { ...HS, kid })}`);
    }
  });

  test('a key or its address in the token itself is never used, nor fetched', async () => {
    const own = rsa(attackerKey.privateKey);
    const certificate = attackerKey.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
    const offers = [
      { jwk: attackerKey.jwk },
      { jwk: { kty: 'oct', k: Buffer.from('x').toString('base64url') } },
      { jwk: await exportJWK(ecPublic) },
      { jku: `${attacker.url}/jwks.json` },
      { x5u: `${attacker.url}/cert.pem` },
      { x5c: [certificate] },
    ];
    for (const offer of offers) {
      for (const kid of [KID, 'attacker'])
        await refused(gateway, `Bearer ${rs({ ...RS, kid, ...offer }, own)}`);
      await refused(gateway, `Bearer ${rs({ ...RS, ...offer })}`);
      await refused(gateway, `Bearer ${jws({ ...HS, ...offer }, accessClaims(), hmac('x'))}`);
    }
    expect(attacker.calls).toHaveLength(0);
  });
});

describe('structure (RFC 7515 §5.2, RFC 8725 §3.4, §3.7)', () => {
  test('spellings of a signature other than the one', async () => {
    const token = hs(accessClaims());
    const [header = '', claims = '', signature = ''] = token.split('.');
    const raw = Buffer.from(signature, 'base64url');
    // 32 bytes leave two spare bits in the last of 43 characters.
    const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.indexOf(
      signature.slice(-1),
    );
    const spare = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'[last ^ 1];
    const flipped = Buffer.from(raw);
    flipped.writeUInt8(raw.readUInt8(0) ^ 1, 0);
    for (const spelt of [
      `${signature.slice(0, -1)}${spare}`,
      `${signature}=`,
      `${signature}A`,
      `${signature}%3D`,
      signature.slice(0, -1),
      signature.slice(0, 20),
      raw.toString('hex'),
      raw.toString('base64'),
      Buffer.alloc(32).toString('base64url'),
      flipped.toString('base64url'),
      hs(accessClaims()).split('.')[2],
      '',
    ]) {
      await refused(gateway, `Bearer ${header}.${claims}.${spelt}`);
    }
    await refused(gateway, `Bearer ${header}.${claims}=.${signature}`);
    await refused(gateway, `Bearer ${header}=.${claims}.${signature}`);
  });

  test('parts exchanged, missing or too many', async () => {
    const token = hs(accessClaims());
    const [header, claims, signature] = token.split('.');
    const [, others] = hs(accessClaims({ sub: '3', roles: ['admin'] })).split('.');
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    for (const text of [
      `${header}.${others}.${signature}`,
      `${none}.${claims}.${signature}`,
      `${header}.${claims}`,
      `${header}.${claims}.`,
      `${header}..${signature}`,
      `.${claims}.${signature}`,
      `${token}.`,
      `.${token}`,
      `${token}.${signature}`,
      `${header}.${claims}.${signature}.${signature}.${signature}`,
      `${header}.${signature}`,
      '..',
      '.',
      'x',
      JSON.stringify({ payload: claims, protected: header, signature }),
      JSON.stringify({ payload: claims, signatures: [{ protected: header, signature }] }),
    ]) {
      await refused(gateway, `Bearer ${text}`);
    }
  });

  test.each([
    ['crit', { crit: ['exp'] }],
    ['empty crit', { crit: [] }],
    ['unencoded payload', { crit: ['b64'], b64: false }],
    ['b64 alone', { b64: true }],
    ['compression', { zip: 'DEF' }],
    ['encryption', { enc: 'A128GCM' }],
    ['another type', { typ: 'dpop+jwt' }],
    ['a security event', { typ: 'secevent+jwt' }],
    ['a logout token', { typ: 'logout+jwt' }],
    ['a type that is no text', { typ: ['JWT'] }],
  ])('header with %s', async (_name, extra) => {
    await refused(gateway, `Bearer ${hs(accessClaims(), { ...HS, ...extra })}`);
    await refused(gateway, `Bearer ${rs({ ...RS, ...extra })}`);
  });

  test('members named twice, at any depth and in any spelling', async () => {
    for (const header of [
      '{"alg":"none","alg":"HS256"}',
      '{"alg":"HS256","alg":"HS256"}',
      '{"alg":"RS256","\\u0061lg":"HS256"}',
      '{"alg":"HS256","typ":"JWT","typ":"JWT"}',
    ]) {
      await refused(gateway, `Bearer ${hs(accessClaims(), header)}`);
    }
    for (const member of [
      '"sub":"3"',
      '"\\u0073ub":"3"',
      '"exp":9999999999',
      '"type":"access"',
      '"roles":["admin"]',
      '"x":{"a":1,"a":2}',
      '"x":[{"a":{"b":1,"b":1}}]',
      '"x":"\\":",  "x":1',
      '"__proto__":1,"__proto__":2',
    ]) {
      await refused(gateway, `Bearer ${hs(withText(member))}`);
    }
  });

  test('a single member that looks like two is no reason to refuse', async () => {
    const token = hs(withText('"note":"a\\":1,\\"sub:","x":{"sub":[":",{"sub":1}]},"__proto__":{"sub":2}'));
    expect((await ask(`${gateway.url}/api/lims/x`, { token })).status).toBe(200);
  });

  test.each([
    ['not JSON', 'hello'],
    ['empty', ''],
    ['an array', '[]'],
    ['null', 'null'],
    ['text', '"x"'],
    ['a number', '1'],
    ['more behind it', `${JSON.stringify({ sub: '1', exp: 9_999_999_999 })}x`],
    ['a byte order mark', `\ufeff${JSON.stringify({ sub: '1', exp: 9_999_999_999 })}`],
    ['a trailing comma', '{"sub":"1","exp":9999999999,}'],
    [
      'no UTF-8',
      Buffer.concat([Buffer.from('{"sub":"'), Buffer.of(0xff), Buffer.from('","exp":9999999999}')]),
    ],
    [
      'overlong UTF-8',
      Buffer.concat([Buffer.from('{"sub":"'), Buffer.of(0xc0, 0xb1), Buffer.from('","exp":9999999999}')]),
    ],
  ])('claims that are %s', async (_name, claims) => {
    await refused(gateway, `Bearer ${hs(claims)}`);
    await refused(gateway, `Bearer ${hs(hs(accessClaims()))}`); // a token within a token
  });

  test('longer than 8 KB', async () => {
    const padded = (length: number) => claimed({ pad: 'x'.repeat(length) });
    expect(padded(5600).length).toBeLessThan(8192);
    expect((await ask(`${gateway.url}/api/lims/x`, { token: padded(5600) })).status).toBe(200);
    await refused(gateway, `Bearer ${padded(6000)}`);
  });
});

describe('claims (RFC 7519 §4.1, RFC 8725 §3.8 to §3.12)', () => {
  const kinds = [
    'refresh',
    'oauth_state',
    'sso_state',
    'saml_relay_state',
    'saml_slo_relay_state',
    'mfa_challenge',
    'oauth_link',
  ];
  test.each([...kinds, 'id', 'Access', 'access ', '', null, 1, ['access'], { access: 1 }])(
    'type %j',
    async (type) => {
      await refused(gateway, `Bearer ${claimed({ type })}`);
    },
  );

  test.each([
    [{ exp: undefined }],
    [{ exp: null }],
    [{ exp: '9999999999' }],
    [{ exp: true }],
    [{ exp: [9_999_999_999] }],
    [{ exp: 0 }],
    [{ exp: -1 }],
    [{ exp: 1e15 }],
    [{ exp: 1.7e308 }],
    [{ nbf: 9_999_999_999 }],
    [{ nbf: '0' }],
    [{ nbf: null }],
    [{ iat: 9_999_999_999 }],
    [{ iat: 'now' }],
    [{ sub: undefined }],
    [{ sub: null }],
    [{ sub: '' }],
    [{ sub: true }],
    [{ sub: 1.5 }],
    [{ sub: ['1'] }],
    [{ sub: { id: 1 } }],
    [{ sub: '1'.repeat(256) }],
    [{ jti: 1 }],
    [{ jti: null }],
    [{ jti: '' }],
    [{ jti: ['x'] }],
    [{ jti: 'x'.repeat(256) }],
  ])('%j', async (claims) => {
    await refused(gateway, `Bearer ${claimed(claims)}`);
  });

  test('times beyond the leeway of five seconds, and numbers JSON has no end for', async () => {
    await refused(gateway, `Bearer ${claimed({ exp: now() - 6 })}`);
    await refused(gateway, `Bearer ${claimed({ nbf: now() + 10 })}`);
    await refused(gateway, `Bearer ${claimed({ iat: now() + 10 })}`);
    const { exp: _, ...rest } = accessClaims();
    const text = JSON.stringify(rest).slice(0, -1);
    await refused(gateway, `Bearer ${hs(`${text},"exp":1e999}`)}`);
    await refused(gateway, `Bearer ${hs(`${text},"exp":NaN}`)}`);
  });

  test.each([
    [{ iss: undefined }],
    [{ iss: 'evil' }],
    [{ iss: ['omnibioai-auth'] }],
    [{ iss: null }],
    [{ aud: undefined }],
    [{ aud: 'omnibioai-platform2' }],
    [{ aud: [] }],
    [{ aud: ['other'] }],
    [{ aud: { 'omnibioai-platform': true } }],
    [{ aud: null }],
  ])('%j where issuer and audience are configured', async (claims) => {
    await refused(strict, `Bearer ${claimed(claims)}`);
  });

  test('one of several audiences suffices', async () => {
    const token = claimed({ aud: ['other', 'omnibioai-platform'] });
    expect((await ask(`${strict.url}/api/lims/x`, { token })).status).toBe(200);
  });
});

describe('service accounts', () => {
  test('are nobody unless they are switched on', async () => {
    await refused(gateway, `Bearer ${hs(accountClaims())}`);
    expect((await ask(`${strict.url}/auth/verify`, { token: hs(accountClaims()) })).status).toBe(200);
  });

  test.each([
    [{ type: undefined }],
    [{ type: 'refresh' }],
    [{ auth_method: undefined }],
    [{ auth_method: 'password' }],
    [{ client_id: undefined }],
    [{ client_id: '' }],
    [{ client_id: 7 }],
    [{ jti: undefined }],
    [{ scopes: undefined }],
    [{ scopes: [] }],
    [{ scopes: 'admin' }],
    [{ scopes: [1] }],
    [{ org_id: { id: 1 } }],
    [{ sub: '' }],
    [{ iss: 'evil' }],
    [{ aud: 'evil' }],
    [{ exp: 1 }],
  ])('%j makes none', async (claims) => {
    await refused(strict, `Bearer ${hs(accountClaims(claims))}`);
  });
});

describe('header', () => {
  test('more or less than one token', async () => {
    const token = hs(accessClaims());
    for (const authorization of [
      [`Bearer ${token}`, `Bearer ${token}`],
      [`Bearer ${token}`, 'Basic YTpi'],
      ['', `Bearer ${token}`],
      `Bearer ${token} ${token}`,
      `Bearer ${token},${token}`,
      `Bearer ${token}, Bearer ${token}`,
      `Bearer ${token}; x=1`,
      `Bearer "${token}"`,
      `Bearer Bearer ${token}`,
      `Bearer token=${token}`,
    ]) {
      await refused(gateway, authorization);
    }
  });

  test('another scheme, or none', async () => {
    const token = hs(accessClaims());
    for (const authorization of [
      token,
      `JWT ${token}`,
      `Bearer:${token}`,
      `Bearer\t${token}`,
      `Bearer${token}`,
      `Basic ${token}`,
    ]) {
      await refused(gateway, authorization, 'missing token');
    }
  });

  test('a token anywhere else is none', async () => {
    const token = hs(accessClaims());
    const elsewhere = await ask(`${gateway.url}/api/lims/x?access_token=${token}&token=${token}`, {
      headers: {
        cookie: `omnibioai_access_token=${token}`,
        'x-access-token': token,
        'x-auth-token': token,
        'proxy-authorization': `Bearer ${token}`,
        authorization_: `Bearer ${token}`,
      },
    });
    expect([elsewhere.status, elsewhere.json.error]).toEqual([401, 'missing token']);
  });
});
