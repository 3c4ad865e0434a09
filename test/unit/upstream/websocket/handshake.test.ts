import { expect, test } from 'vitest';
import { offeredProtocol, switchesAsAsked } from '../../../../src/upstream/websocket/handshake.ts';

// The example of RFC 6455 §1.3.
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

test('a WebSocket is switched to only with the accept value of its key', () => {
  const answer = { upgrade: 'WebSocket', 'sec-websocket-accept': ACCEPT };
  expect(switchesAsAsked('websocket', KEY, answer)).toBe(true);
  expect(switchesAsAsked('websocket', `${KEY}x`, answer)).toBe(false);
  expect(switchesAsAsked('websocket', undefined, answer)).toBe(false);
  expect(switchesAsAsked('websocket', KEY, { ...answer, 'sec-websocket-accept': [ACCEPT, ACCEPT] })).toBe(
    false,
  );
  expect(switchesAsAsked('websocket', KEY, { ...answer, upgrade: 'h2c' })).toBe(false);
  expect(switchesAsAsked('websocket', KEY, { upgrade: 'websocket' })).toBe(false);
  expect(switchesAsAsked('echo/1', undefined, { upgrade: 'echo/1' })).toBe(true);
  expect(switchesAsAsked('echo/1', undefined, {})).toBe(false);
});

test('of the protocols offered the first one allowed is taken, a WebSocket only for GET', () => {
  const allowed = ['websocket', 'spdy/3.1'];
  expect(offeredProtocol('h2c, SPDY/3.1,websocket', 'POST', allowed)).toBe('SPDY/3.1');
  expect(offeredProtocol('WebSocket', 'GET', allowed)).toBe('WebSocket');
  expect(offeredProtocol('websocket', 'POST', allowed)).toBe(null);
  for (const list of ['', 'h2c', 'websocket2', 'web socket', 'websocket;x']) {
    expect(offeredProtocol(list, 'GET', allowed), list).toBe(null);
  }
});
