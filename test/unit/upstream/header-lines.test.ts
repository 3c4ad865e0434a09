import { expect, test } from 'vitest';
import { headerLines, headersOf } from '../../../src/upstream/header-lines.ts';

test('each header is a line, and the lines give the headers back', () => {
  const headers = [
    'X-User-Id',
    '42',
    'X-Permissions',
    '',
    'Forwarded',
    'for=10.0.0.1;host="a: b"',
    'Via',
    '1.1 é',
  ];
  const lines = headerLines(headers);
  expect(lines).toBe(
    '\r\nX-User-Id: 42\r\nX-Permissions: \r\nForwarded: for=10.0.0.1;host="a: b"\r\nVia: 1.1 é',
  );
  expect(headersOf(lines)).toEqual(headers);
  expect(headersOf('')).toEqual([]);
});

test.for([
  ['X-A', 'one\r\nX-Admin: true'],
  ['X-A', 'one\n'],
  ['X-A', 'nul\0'],
  ['X-A', 'beyond latin-1 \u0100'],
  ['X-A: b\r\nX-B', 'c'],
  ['', 'no name'],
])('what may not stand in a header is no line: %j', (header) => {
  expect(() => headerLines(header)).toThrow(TypeError);
});
