import { expect } from 'vitest';
import type { StrictRequest } from '../setup/strict-http.ts';

/** Never passed on, whatever a client sends. */
const ENDS_AT_THE_GATEWAY = ['te', 'trailer', 'upgrade', 'http2-settings', 'proxy-connection'];

/**
 * What must hold for every request of the sandbox's scientist that reaches a service, whatever the client
 * sent with it.
 * @param auth the client's header line
 */
export function expectJudged(request: StrictRequest, auth: string, host: string): void {
  const values = (name: string) =>
    request.headers.filter(([other]) => other === name).map(([, value]) => value);
  expect(values('host')).toEqual([host]);
  expect(values('authorization')).toEqual([auth.trim().slice('Authorization: '.length)]);
  expect(values('x-user-id')).toEqual(['1']);
  expect(values('x-organization-id')).toEqual(['10']);
  expect(values('x-token-type')).toEqual(['user']);
  expect(values('x-internal-service')).toEqual(['gateway']);
  expect(values('x-service-token')).toEqual([expect.stringMatching(/^eyJ/)]);
  expect(values('content-length').length + values('transfer-encoding').length).toBeLessThan(2);
  // The one expectation there is, as the gateway writes it.
  expect([[], ['100-continue']]).toContainEqual(values('expect'));
  for (const name of ENDS_AT_THE_GATEWAY) expect(values(name)).toEqual([]);
}
