import { describe, expect, test } from 'vitest';
import { RequestHead } from '../../../src/upstream/request-head.ts';

function passed(...rawHeaders: string[]): string[] {
  return new RequestHead(rawHeaders).passed;
}

test('end-to-end headers pass in their order, spelling and duplication', () => {
  const headers = ['Accept', '*/*', 'X-Custom', '1', 'cookie', 'a=b', 'x-custom', '2', 'ACCEPT', 'text/html'];
  expect(passed(...headers)).toEqual(headers);
});

describe('claims only the gateway may make are dropped', () => {
  test.each([
    'X-User-Id',
    'x-user-id',
    'X_User_Id',
    'x-USER_id',
    'X-Organization-ID',
    'X-Client-Id',
    'X-Permissions',
    'X-Token-Type',
    'X-Internal-Service',
    'X-Internal_Service',
    'X-Service-Token',
    'X_Service_Token',
    'X-Trace-Id',
    'Authorization',
    'AUTHORIZATION',
    'X-Forwarded-For',
    'X_Forwarded_For',
    'Forwarded',
    'X-Real-IP',
    'X-Original-URL',
    'X-Rewrite-URL',
    'X-HTTP-Method-Override',
    'X-Roles',
    'X-Tenant-Id',
    'X-Identity-Assertion',
    'X.User.Id',
    'X!User-Id',
    'X-User_Id',
    'X-User-Anything',
    'X-Users',
    'X-Organisation-Id',
    'X-Auth-Request-Groups',
    'X-Forwarded-Client-Cert',
    'X-Remote-Groups',
    'Remote-User',
    'X-Token-Claims',
    'X-Service-Account',
    'X-Permissions-All',
    'X-Envoy-Original-Path',
    'X-Middleware-Subrequest',
    'Proxy',
    'Proxy-Authorization',
    'Content_Length',
    'Transfer.Encoding',
  ])('%s', (name) => {
    expect(passed(name, 'admin', 'Accept', '*/*', name, 'again')).toEqual(['Accept', '*/*']);
  });
});

test('a look-alike with an underscore is not taken for the header itself', () => {
  const head = new RequestHead(['X_Trace_Id', 'a', 'Content_Length', '5', 'X_Service_Token', 'b']);
  expect([head.traceId, head.contentLength, head.serviceToken, head.hasBody]).toEqual(['', '', '', false]);
});

test('what only looks a little like a claim passes', () => {
  const headers = ['X-User-Agent', 'grpc', 'X-Usage', '1', 'X-Origin', '2', 'X-Organism', 'human'];
  expect(passed(...headers)).toEqual(headers);
});

describe('hop-by-hop headers end here', () => {
  test('the usual ones', () => {
    expect(
      passed(
        'Connection',
        'keep-alive',
        'Keep-Alive',
        'timeout=5',
        'TE',
        'trailers',
        'Upgrade',
        'h2c',
        'Trailer',
        'X',
      ),
    ).toEqual([]);
  });

  test('those that Connection names, in any case and number', () => {
    expect(
      passed(
        'X-One',
        '1',
        'Connection',
        'close, x-one',
        'X-Two',
        '2',
        'connection',
        'X-Three',
        'x-three',
        '3',
      ),
    ).toEqual(['X-Two', '2']);
  });

  test('Connection cannot take the gateway’s own reading of Authorization away', () => {
    const head = new RequestHead(['Connection', 'Authorization', 'Authorization', 'Bearer x']);
    expect(head.authorization).toBe('Bearer x');
  });
});

test('repeated headers the stages depend on are counted', () => {
  const head = new RequestHead([
    'Authorization',
    'Bearer a',
    'authorization',
    'Bearer b',
    'Host',
    'a',
    'host',
    'b',
  ]);
  expect([head.authorizationCount, head.hostCount]).toEqual([2, 2]);
});
