import type { Exchange } from './exchange.ts';
import { type Refusal, refusals } from './verdict.ts';

/** Longest request target. Characters. */
const MAX_TARGET = 16_384;

/** Most header lines of a request. */
const MAX_HEADERS = 200;

/** Longest `Content-Length`: more digits than the size of any storage, fewer than a number loses. */
const MAX_LENGTH_DIGITS = 15;

/**
 * `uri-host [":" port]` (RFC 9110 §7.2) in the characters that names and addresses on a network have; user
 * names, lists, paths and spaces are what two parsers would read differently.
 */
const HOST = /^(?:[\w.~%-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i;

const faults = {
  version: refusals.badRequest('http_version', 505, 'http version not supported'),
  host: refusals.badRequest('host_header'),
  transferEncoding: refusals.badRequest('transfer_encoding'),
  contentLength: refusals.badRequest('content_length', 413, 'payload too large'),
  contentType: refusals.badRequest('content_type'),
  target: refusals.badRequest('target_too_long', 414, 'uri too long'),
  headers: refusals.badRequest('too_many_headers', 431, 'request header fields too large'),
  method: refusals.badRequest('method_not_allowed', 405, 'method not allowed'),
};

/**
 * What is wrong with a request that the parser let through, before its path is looked at; null where nothing
 * is. The parser refuses all it cannot frame; here is refused what it can, but another server would not frame
 * in the same way. The connection is closed after each of these.
 */
export function faultOf({ request, head, method }: Exchange): Refusal | null {
  const minor = request.httpVersionMinor;
  if (request.httpVersionMajor !== 1 || minor > 1) return faults.version;
  if (head.transferEncodingCount > 0) {
    // HTTP/1.0 knows no codings (RFC 9112 §6.1). Of the others only `chunked` frames; what a list would add
    // is a coding that one of two servers does not know.
    if (minor === 0 || !/^chunked$/i.test(head.transferEncoding)) return faults.transferEncoding;
  } else if (head.contentLength.length > MAX_LENGTH_DIGITS) return faults.contentLength;
  if (head.hostCount !== 1) {
    if (head.hostCount > 1 || minor > 0) return faults.host;
  } else if (!HOST.test(head.host)) return faults.host;
  if (request.rawHeaders.length > MAX_HEADERS * 2) return faults.headers;
  if (head.contentTypeCount > 1) return faults.contentType;
  if ((request.url ?? '').length > MAX_TARGET) return faults.target;
  if (method === 'TRACE' || method === 'CONNECT') return faults.method;
  return null;
}
