import { RequestHead } from './request-head.ts';

/**
 * Fields that mean something before the body only, and are not to be taken from behind it (RFC 9110 §6.5.1):
 * framing, routing, authentication, conditions and other modifiers of a request, the content's format.
 */
const NEVER_TRAILERS: ReadonlySet<string> = new Set([
  'accept-ranges',
  'age',
  'authorization',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-location',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'expect',
  'expires',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'keep-alive',
  'location',
  'max-forwards',
  'pragma',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'retry-after',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'vary',
  'via',
  'www-authenticate',
]);

export function mayBeTrailer(name: string): boolean {
  return !NEVER_TRAILERS.has(name.toLowerCase());
}

/**
 * The trailers of a client's request that may pass: none that the gateway alone may set, by the same rules
 * as for headers.
 * @param raw flat list
 */
export function passingTrailers(raw: readonly string[]): [string, string][] {
  const passed = new RequestHead(raw).passed;
  const trailers: [string, string][] = [];
  for (let i = 0; i + 1 < passed.length; i += 2) {
    const name = passed[i] as string; // both exist: the loop's condition
    if (name !== '' && mayBeTrailer(name)) trailers.push([name, passed[i + 1] as string]);
  }
  return trailers;
}
