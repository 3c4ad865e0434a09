/**
 * Hostile requests by the place where each is described. `H` stands for what every request has (Host and a
 * valid Authorization), `S` for a whole request that must never arrive unless it is sent as one.
 */
export interface HostileCase {
  readonly name: string;
  /** RFC section, CVE or paper. */
  readonly source: string;
  readonly bytes: string;
  /**
   * A status: refused, the connection closed, nothing whole reaches the service. Else the requests that the
   * service sees, as `METHOD target body`, and the answers to all of it where they are not one 200 for each.
   */
  readonly expect: number | { readonly seen: readonly string[]; readonly statuses?: readonly number[] };
}

// The paper names are those of Linhart et al. 2005 (HTTP request smuggling), Kettle 2019 (HTTP desync attacks),
// Kettle 2022 (browser-powered desync), Kettle 2025 (HTTP/1.1 must die) and Jabiyev et al. 2021 (T-Reqs).
const H = 'Host: gateway\r\n{auth}';
const S = `GET /api/lims/smuggled HTTP/1.1\r\n${H}\r\n`;
const POST = `POST /api/lims/a HTTP/1.1\r\n${H}`;
const GET = `GET /api/lims/a HTTP/1.1\r\n${H}`;
const S_AS_BODY = 'GET /api/lims/smuggled HTTP/1.1\r\nHost: gateway\r\n\r\n';
/** Refused for its path: its framing is sound, and the connection goes on. */
const BAD_PATH = { seen: [], statuses: [400] };
const CHUNKED = 'Transfer-Encoding: chunked\r\n\r\n';
const HELLO = '5\r\nhello\r\n0\r\n\r\n';
const HELLO_SEEN = { seen: ['POST /a hello', 'GET /smuggled '] };
const ONLY_GET = { seen: ['GET /a '] };

function te(name: string, source: string, header: string, expect: HostileCase['expect'] = 400): HostileCase {
  return { name: `Transfer-Encoding ${name}`, source, bytes: `${POST}${header}\r\n\r\n${HELLO}${S}`, expect };
}

function cl(name: string, source: string, header: string, expect: HostileCase['expect'] = 400): HostileCase {
  return { name: `Content-Length ${name}`, source, bytes: `${POST}${header}\r\n\r\nhello${S}`, expect };
}

function chunk(name: string, source: string, body: string, expect: HostileCase['expect'] = 400): HostileCase {
  return { name: `chunk ${name}`, source, bytes: `${POST}${CHUNKED}${body}${S}`, expect };
}

function line(name: string, source: string, bytes: string, expect: HostileCase['expect'] = 400): HostileCase {
  return { name: `request line: ${name}`, source, bytes: `${bytes}\r\n${H}\r\n`, expect };
}

function header(
  name: string,
  source: string,
  lines: string,
  expect: HostileCase['expect'] = 400,
): HostileCase {
  return { name: `header: ${name}`, source, bytes: `${GET}${lines}\r\n\r\n${S}`, expect };
}

const RFC_TE = 'RFC 9112 §6.1';
const RFC_CL = 'RFC 9112 §6.2';
const RFC_CHUNK = 'RFC 9112 §7.1';
const RFC_LINE = 'RFC 9112 §3';
const RFC_FIELD = 'RFC 9112 §5';
const RFC_VALUE = 'RFC 9110 §5.5';
const DESYNC = 'Kettle 2019';

const framing: readonly HostileCase[] = [
  // CL.TE and TE.CL
  {
    name: 'CL.TE',
    source: 'Linhart 2005',
    bytes: `${POST}Content-Length: 6\r\n${CHUNKED}0\r\n\r\nG${S}`,
    expect: 400,
  },
  {
    name: 'TE.CL',
    source: 'Linhart 2005',
    bytes: `${POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n${S}\r\n0\r\n\r\n`,
    expect: 400,
  },
  {
    name: 'CL.TE with identity',
    source: RFC_TE,
    bytes: `${POST}Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nhello${S}`,
    expect: 400,
  },
  {
    name: 'CL: 0 with TE',
    source: DESYNC,
    bytes: `${POST}Content-Length: 0\r\n${CHUNKED}${HELLO}${S}`,
    expect: 400,
  },
  // TE.TE
  te('as it should be', RFC_TE, 'Transfer-Encoding: chunked', HELLO_SEEN),
  te('in another case', 'RFC 9112 §7', 'TRANSFER-ENCODING: cHuNkEd', HELLO_SEEN),
  te('with blanks around', RFC_VALUE, 'Transfer-Encoding: \t chunked  ', HELLO_SEEN),
  te('xchunked', DESYNC, 'Transfer-Encoding: xchunked'),
  te('chunkedx', DESYNC, 'Transfer-Encoding: chunkedx'),
  te('quoted', DESYNC, 'Transfer-Encoding: "chunked"'),
  te('identity', RFC_TE, 'Transfer-Encoding: identity'),
  te('chunked, identity', DESYNC, 'Transfer-Encoding: chunked, identity'),
  te('identity, chunked', DESYNC, 'Transfer-Encoding: identity, chunked'),
  te('gzip, chunked', RFC_TE, 'Transfer-Encoding: gzip, chunked'),
  te('chunked, chunked', RFC_TE, 'Transfer-Encoding: chunked, chunked'),
  te(', chunked', 'RFC 9110 §5.6.1', 'Transfer-Encoding: , chunked'),
  te('chunked,', 'RFC 9110 §5.6.1', 'Transfer-Encoding: chunked,'),
  te('with a parameter', RFC_TE, 'Transfer-Encoding: chunked;q=1'),
  te('empty', RFC_TE, 'Transfer-Encoding:'),
  te('twice', DESYNC, 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'),
  te('then another one', DESYNC, 'Transfer-Encoding: chunked\r\nTransfer-Encoding: x'),
  te('after another one', DESYNC, 'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked'),
  te('space before colon', 'RFC 9112 §5.1', 'Transfer-Encoding : chunked'),
  te('tab before colon', 'RFC 9112 §5.1', 'Transfer-Encoding\t: chunked'),
  te('space before name', RFC_FIELD, ' Transfer-Encoding: chunked'),
  te('tab after value', DESYNC, 'Transfer-Encoding: chunked\t'),
  te('vertical tab before value', DESYNC, 'Transfer-Encoding: \x0bchunked'),
  te('form feed after value', DESYNC, 'Transfer-Encoding: chunked\x0c'),
  te('NUL in value', RFC_VALUE, 'Transfer-Encoding: chunked\0'),
  te('CR in value', RFC_VALUE, 'Transfer-Encoding: chu\rnked'),
  te('folded', 'RFC 9112 §5.2', 'Transfer-Encoding:\r\n chunked'),
  te('folded inside', DESYNC, 'Transfer-Encoding: x,\r\n chunked'),
  te('behind a bare LF', DESYNC, 'X: y\nTransfer-Encoding: chunked'),
  te('behind a bare CR', DESYNC, 'X: y\rTransfer-Encoding: chunked'),
  te('with a Kelvin sign', 'RFC 9110 §5.6.2', 'Transfer-Encoding: chun\xe2\x84\xaaed'),
  te('with a no-break space', DESYNC, 'Transfer-Encoding:\xa0chunked'),
  te('with an underscore: another header', 'T-Reqs 2021', 'Transfer_Encoding: chunked', {
    seen: ['POST /a '],
    statuses: [200, 400],
  }),
  te('with a dot: another header', 'T-Reqs 2021', 'Transfer.Encoding: chunked', {
    seen: ['POST /a '],
    statuses: [200, 400],
  }),
  {
    name: 'HTTP/1.0 with Transfer-Encoding',
    source: RFC_TE,
    bytes: `POST /api/lims/a HTTP/1.0\r\n${H}Connection: keep-alive\r\n${CHUNKED}${HELLO}${S}`,
    expect: 400,
  },
  {
    name: 'GET with a chunked body',
    source: 'RFC 9110 §9.3.1',
    bytes: `${GET}${CHUNKED}${HELLO}${S}`,
    expect: { seen: ['GET /a hello', 'GET /smuggled '] },
  },
  {
    name: 'Connection names Transfer-Encoding',
    source: 'RFC 9110 §7.6.1',
    bytes: `${POST}Connection: Transfer-Encoding\r\n${CHUNKED}${HELLO}${S}`,
    expect: HELLO_SEEN,
  },
  // Content-Length
  cl('as it should be', RFC_CL, 'Content-Length: 5', HELLO_SEEN),
  cl('with blanks around', RFC_VALUE, 'Content-Length: \t5 ', HELLO_SEEN),
  cl('with leading zeros', RFC_CL, 'Content-Length: 000005', HELLO_SEEN),
  cl('list of equals', RFC_CL, 'Content-Length: 5, 5'),
  cl('list of others', RFC_CL, 'Content-Length: 5, 0'),
  cl('twice the same', RFC_CL, 'Content-Length: 5\r\nContent-Length: 5'),
  cl('twice another', 'Linhart 2005', 'Content-Length: 5\r\nContent-Length: 0'),
  cl('twice, one of them zero first', 'Linhart 2005', 'Content-Length: 0\r\nContent-Length: 5'),
  cl('with plus', RFC_CL, 'Content-Length: +5'),
  cl('with minus', RFC_CL, 'Content-Length: -5'),
  cl('hexadecimal', RFC_CL, 'Content-Length: 0x5'),
  cl('with an exponent', RFC_CL, 'Content-Length: 5e0'),
  cl('with a point', RFC_CL, 'Content-Length: 5.0'),
  cl('with an underscore in it', RFC_CL, 'Content-Length: 5_0'),
  cl('with a space in it', RFC_CL, 'Content-Length: 5 0'),
  cl('with a parameter', RFC_CL, 'Content-Length: 5;a'),
  cl('empty', RFC_CL, 'Content-Length:'),
  cl('beyond 64 bits', RFC_CL, 'Content-Length: 18446744073709551621'),
  cl('beyond what a double holds', RFC_CL, 'Content-Length: 9007199254740993', 413),
  cl('space before colon', 'RFC 9112 §5.1', 'Content-Length : 5'),
  cl('vertical tab before value', DESYNC, 'Content-Length: \x0b5'),
  cl('form feed after value', DESYNC, 'Content-Length: 5\x0c'),
  cl('no-break space after value', DESYNC, 'Content-Length: 5\xa0'),
  cl('NUL after value', RFC_VALUE, 'Content-Length: 5\0'),
  cl('folded', 'RFC 9112 §5.2', 'Content-Length:\r\n 5'),
  cl('with an underscore: another header', 'T-Reqs 2021', 'Content_Length: 5', {
    seen: ['POST /a '],
    statuses: [200, 400],
  }),
  {
    name: '0.CL: GET with Content-Length',
    source: 'Kettle 2025',
    bytes: `${GET}Content-Length: 5\r\n\r\nhello${S}`,
    expect: { seen: ['GET /a hello', 'GET /smuggled '] },
  },
  {
    name: '0.CL: HEAD with Content-Length',
    source: 'Kettle 2025',
    bytes: `HEAD /api/lims/a HTTP/1.1\r\n${H}Content-Length: ${S_AS_BODY.length}\r\n\r\n${S_AS_BODY}`,
    expect: { seen: [`HEAD /a ${S_AS_BODY}`] },
  },
  {
    name: 'CL.0: a request as body',
    source: 'Kettle 2022',
    bytes: `${POST}Content-Length: ${S_AS_BODY.length}\r\n\r\n${S_AS_BODY}`,
    expect: { seen: [`POST /a ${S_AS_BODY}`] },
  },
  {
    name: 'Connection names Content-Length',
    source: 'RFC 9110 §7.6.1',
    bytes: `${POST}Connection: Content-Length\r\nContent-Length: 5\r\n\r\nhello${S}`,
    expect: HELLO_SEEN,
  },
  {
    name: 'Expect twice, with a body',
    source: 'Kettle 2025',
    bytes: `${POST}Expect: y\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello${S}`,
    expect: { seen: ['POST /a hello', 'GET /smuggled '] },
  },
  {
    name: 'Expect of HTTP/1.0',
    source: 'RFC 9110 §10.1.1',
    bytes: `POST /api/lims/a HTTP/1.0\r\n${H}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello`,
    expect: { seen: ['POST /a hello'] },
  },
];

const chunks: readonly HostileCase[] = [
  chunk('with an extension', 'RFC 9112 §7.1.1', '5;a=b\r\nhello\r\n0\r\n\r\n', HELLO_SEEN),
  chunk('with a quoted extension', 'RFC 9112 §7.1.1', '5;a="b c;d"\r\nhello\r\n0\r\n\r\n', HELLO_SEEN),
  chunk('with CRLF in a quoted extension', 'Kettle 2025', '5;a="b\r\n"\r\nhello\r\n0\r\n\r\n'),
  chunk('with bare LF in an extension', 'CVE-2025-58056', '5;a\nhello\r\n0\r\n\r\n'),
  chunk('with bare CR in an extension', 'CVE-2025-58056', '5;a\rb\r\nhello\r\n0\r\n\r\n'),
  chunk('with an empty extension', 'RFC 9112 §7.1.1', '5;\r\nhello\r\n0\r\n\r\n'),
  chunk('with extensions of 20 KB', 'CVE-2024-22019', `5;a=${'b'.repeat(20_000)}\r\nhello\r\n0\r\n\r\n`, 413),
  chunk('size with a space after', RFC_CHUNK, '5 \r\nhello\r\n0\r\n\r\n'),
  chunk('size with a space before', RFC_CHUNK, ' 5\r\nhello\r\n0\r\n\r\n'),
  chunk('size with 0x', RFC_CHUNK, '0x5\r\nhello\r\n0\r\n\r\n'),
  chunk('size with plus', RFC_CHUNK, '+5\r\nhello\r\n0\r\n\r\n'),
  chunk('size with minus', RFC_CHUNK, '-1\r\nhello\r\n0\r\n\r\n'),
  chunk('size with an underscore', RFC_CHUNK, '0_5\r\nhello\r\n0\r\n\r\n'),
  chunk('size beyond 64 bits', RFC_CHUNK, '10000000000000005\r\nhello\r\n0\r\n\r\n'),
  chunk('size empty', RFC_CHUNK, '\r\nhello\r\n0\r\n\r\n'),
  chunk('size with a letter', RFC_CHUNK, '5g\r\nhello\r\n0\r\n\r\n'),
  chunk('size with leading zeros', RFC_CHUNK, '0000000000005\r\nhello\r\n000\r\n\r\n', HELLO_SEEN),
  chunk('bare LF after size', RFC_CHUNK, '5\nhello\r\n0\r\n\r\n'),
  chunk('bare LF after data', RFC_CHUNK, '5\r\nhello\n0\r\n\r\n'),
  chunk('bare LF after last size', RFC_CHUNK, '5\r\nhello\r\n0\n\r\n'),
  chunk('bare LF at the end', RFC_CHUNK, '5\r\nhello\r\n0\r\n\n'),
  chunk('bare CR after size', RFC_CHUNK, '5\rhello\r\n0\r\n\r\n'),
  chunk('CR and a letter after data', 'Kettle 2025', '5\r\nhello\rX0\r\n\r\n'),
  chunk('nothing after data', RFC_CHUNK, '5\r\nhello0\r\n\r\n'),
  chunk('longer than its size', RFC_CHUNK, '5\r\nhelloXX\r\n0\r\n\r\n'),
  chunk('trailers', 'RFC 9112 §7.1.2', '5\r\nhello\r\n0\r\nX-Checksum: a\r\n\r\n', HELLO_SEEN),
  chunk(
    'trailers that claim an identity',
    'RFC 9110 §6.5.1',
    '5\r\nhello\r\n0\r\nHost: evil\r\nX-User-Id: 1\r\nAuthorization: Bearer evil\r\n\r\n',
    HELLO_SEEN,
  ),
  chunk('trailer Content-Length', 'RFC 9110 §6.5.1', '5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n'),
  chunk(
    'trailer Transfer-Encoding',
    'RFC 9110 §6.5.1',
    '5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n',
  ),
  chunk('trailer folded', 'RFC 9112 §5.2', '5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n'),
  chunk('trailer with bare LF', RFC_CHUNK, '5\r\nhello\r\n0\r\nX: a\n\r\n'),
  chunk('trailer with a bad name', RFC_FIELD, '5\r\nhello\r\n0\r\nX a: b\r\n\r\n'),
  chunk('trailers of 40 KB', 'RFC 9112 §7.1.2', `5\r\nhello\r\n0\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`, 431),
  {
    name: 'garbage behind the last chunk',
    source: RFC_CHUNK,
    bytes: `${POST}${CHUNKED}${HELLO}garbage\r\n\r\n${S}`,
    expect: { seen: ['POST /a hello'], statuses: [200, 400] },
  },
  {
    name: 'garbage behind a body',
    source: 'RFC 9112 §6.3',
    bytes: `${POST}Content-Length: 5\r\n\r\nhellogarbage ${S}`,
    expect: { seen: ['POST /a hello'], statuses: [200, 400] },
  },
];

const lines: readonly HostileCase[] = [
  line('bare LF', 'RFC 9112 §2.2', `GET /api/lims/a HTTP/1.1\nX: y`),
  line('bare CR', 'RFC 9112 §2.2', `GET /api/lims/a HTTP/1.1\rX: y`),
  line('lower-case method', 'RFC 9110 §9.1', 'get /api/lims/a HTTP/1.1'),
  line('unknown method', 'RFC 9110 §9.1', 'SMUGGLE /api/lims/a HTTP/1.1'),
  line('control character in the method', RFC_LINE, 'G\x01T /api/lims/a HTTP/1.1'),
  line('method with a colon', RFC_LINE, 'GET: /api/lims/a HTTP/1.1'),
  line('space before the method', RFC_LINE, ' GET /api/lims/a HTTP/1.1'),
  line('tab between', RFC_LINE, 'GET\t/api/lims/a HTTP/1.1'),
  line('two spaces before the target', RFC_LINE, 'GET  /api/lims/a HTTP/1.1', ONLY_GET),
  line('two spaces behind the target', RFC_LINE, 'GET /api/lims/a  HTTP/1.1', ONLY_GET),
  line('space in the target', RFC_LINE, 'GET /api/lims/a b HTTP/1.1'),
  line('a second version', 'T-Reqs 2021', 'GET /api/lims/a HTTP/1.1 /api/lims/b HTTP/1.1'),
  line('NUL in the target', RFC_LINE, 'GET /api/lims/a\0 HTTP/1.1'),
  line('tab in the target', RFC_LINE, 'GET /api/lims/a\tb HTTP/1.1'),
  line('form feed in the target', RFC_LINE, 'GET /api/lims/a\x0cb HTTP/1.1'),
  line('high byte in the target', RFC_LINE, 'GET /api/lims/a\xff HTTP/1.1'),
  line('control character in the query', RFC_LINE, 'GET /api/lims/a?b\x01c HTTP/1.1'),
  line('fragment', 'RFC 9112 §3.2', 'GET /api/lims/a#b HTTP/1.1', BAD_PATH),
  line('fragment behind a query', 'RFC 9112 §3.2', 'GET /api/lims/a?b#c HTTP/1.1', BAD_PATH),
  line('absolute-form with another host', 'RFC 9112 §3.2.2', 'GET http://evil/api/lims/a HTTP/1.1', BAD_PATH),
  line('absolute-form with this host', 'RFC 9112 §3.2.2', 'GET http://gateway/api/lims/a HTTP/1.1', BAD_PATH),
  line('authority-form', 'RFC 9112 §3.2.3', 'GET evil:80 HTTP/1.1'),
  line('CONNECT', 'RFC 9112 §3.2.3', 'CONNECT evil:80 HTTP/1.1', 405),
  line('asterisk-form', 'RFC 9112 §3.2.4', 'OPTIONS * HTTP/1.1', BAD_PATH),
  line('authority in an origin-form', 'Kettle 2019', 'GET @evil/api/lims/a HTTP/1.1'),
  line('two slashes first', 'RFC 3986 §4.2', 'GET //evil/api/lims/a HTTP/1.1', BAD_PATH),
  line('backslash', 'WHATWG URL', 'GET /api/lims\\..\\tes HTTP/1.1', BAD_PATH),
  line('dot segments', 'RFC 3986 §5.2.4', 'GET /api/lims/../tes/a HTTP/1.1', BAD_PATH),
  line('dot segments encoded', 'CVE-2021-41773', 'GET /api/lims/%2e%2e/tes/a HTTP/1.1', BAD_PATH),
  line('dot segments encoded twice', 'CVE-2021-42013', 'GET /api/lims/%252e%252e/tes/a HTTP/1.1', BAD_PATH),
  line('HTTP/0.9', 'RFC 1945 §4.1', 'GET /api/lims/a', 505),
  line('HTTP/1.2', 'RFC 9110 §2.5', 'GET /api/lims/a HTTP/1.2'),
  line('HTTP/2.0', 'RFC 9110 §2.5', 'GET /api/lims/a HTTP/2.0', 505),
  line('HTTP/1.10', RFC_LINE, 'GET /api/lims/a HTTP/1.10'),
  line('http/1.1', RFC_LINE, 'GET /api/lims/a http/1.1'),
  line('space behind the version', RFC_LINE, 'GET /api/lims/a HTTP/1.1 '),
  line('another protocol', RFC_LINE, 'GET /api/lims/a ICE/1.0'),
  line('a target of 20 KB', 'RFC 9112 §3', `GET /api/lims/${'a'.repeat(20_000)} HTTP/1.1`, 414),
  line('empty lines before', 'RFC 9112 §2.2', '\r\n\r\nGET /api/lims/a HTTP/1.1', ONLY_GET),
  { name: 'HTTP/2 preface', source: 'RFC 9113 §3.4', bytes: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', expect: 400 },
  {
    name: 'TLS hello',
    source: 'RFC 8446 §4.1.2',
    bytes: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    expect: 400,
  },
];

const headers: readonly HostileCase[] = [
  header('folded', 'RFC 9112 §5.2', 'X: a\r\n b'),
  header('folded with a tab', 'RFC 9112 §5.2', 'X: a\r\n\tb'),
  header('bare LF', 'RFC 9112 §2.2', 'X: a\nY: b'),
  header('bare CR', 'RFC 9112 §2.2', 'X: a\rY: b'),
  header('CR CR LF', 'RFC 9112 §2.2', 'X: a\r'),
  header('NUL in a value', RFC_VALUE, 'X: a\0b'),
  header('control character in a value', RFC_VALUE, 'X: a\x01b'),
  header('DEL in a value', RFC_VALUE, 'X: a\x7fb'),
  header('NUL in a name', RFC_FIELD, 'X\0: a'),
  header('space in a name', RFC_FIELD, 'X y: a'),
  header('parenthesis in a name', RFC_FIELD, 'X(y): a'),
  header('high byte in a name', RFC_FIELD, 'X\xe4: a'),
  header('quoted name', RFC_FIELD, '"X": a'),
  header('empty name', RFC_FIELD, ': a'),
  header('no colon', RFC_FIELD, 'X'),
  header('bare LF at the end', 'RFC 9112 §2.2', 'X: a\r\n\nGET /api/lims/b HTTP/1.1'),
  header('two Hosts', 'RFC 9112 §3.2', 'Host: evil'),
  header('the same Host twice', 'RFC 9112 §3.2', 'Host: gateway'),
  header('two content types', 'RFC 9110 §8.3', 'Content-Type: application/json\r\nContent-Type: text/plain'),
  header(
    '300 headers',
    'CVE-2024-27316',
    Array.from({ length: 300 }, (_, i) => `X-${i}: a`).join('\r\n'),
    431,
  ),
  header('40 KB of headers', 'CVE-2018-12121', `X: ${'a'.repeat(40_000)}`, 431),
  header(
    'h2c upgrade',
    'Bishop Fox 2020 (h2c smuggling)',
    'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__',
    ONLY_GET,
  ),
  header(
    'Connection names what the gateway sets',
    'RFC 9110 §7.6.1',
    'Connection: Authorization, X-User-Id, X-Organization-ID, X-Service-Token, Host',
    { seen: ['GET /a ', 'GET /smuggled '] },
  ),
  header('close among the names of Connection', 'RFC 9110 §7.6.1', 'Connection: X-User-Id, close', ONLY_GET),
  header('proxy connection', 'RFC 9112 §C.2.2', 'Proxy-Connection: close', ONLY_GET),
  ...['a@b', 'a b', 'a/b', 'a, b', 'a:b', 'a?b', 'a#b', 'a\\b', '', '[::1', 'a:123456', 'gateway\tevil'].map(
    (host): HostileCase => ({
      name: `header: Host "${host}"`,
      source: 'RFC 9110 §7.2',
      bytes: `GET /api/lims/a HTTP/1.1\r\nHost: ${host}\r\n{auth}\r\n${S}`,
      expect: 400,
    }),
  ),
  {
    name: 'no Host',
    source: 'RFC 9112 §3.2',
    bytes: `GET /api/lims/a HTTP/1.1\r\n{auth}\r\n${S}`,
    expect: 400,
  },
  {
    name: 'Host behind a fold',
    source: RFC_FIELD,
    bytes: `GET /api/lims/a HTTP/1.1\r\n Host: gateway\r\n{auth}\r\n${S}`,
    expect: 400,
  },
  {
    name: 'data behind close',
    source: 'RFC 9112 §9.6',
    bytes: `${GET}Connection: close\r\n\r\n${S}`,
    expect: { seen: ['GET /a '] },
  },
  {
    name: 'two Authorizations',
    source: 'RFC 9110 §11.6.2',
    bytes: `${GET}Authorization: Bearer x\r\n\r\n${S}`,
    expect: { seen: ['GET /smuggled '], statuses: [401, 200] },
  },
];

export const CORPUS: readonly HostileCase[] = [...framing, ...chunks, ...lines, ...headers];
