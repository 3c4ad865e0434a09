/** A request path that every parser reads alike (design rule 2). Only {@link parseTarget} makes one. */
export type SafePath = string & { readonly __brand: 'SafePath' };

/** An origin-form request target (RFC 9112 §3.2.1), taken apart but byte for byte as received. */
export interface RequestTarget {
  readonly path: SafePath;
  /** Without the question mark; empty without a query. */
  readonly query: string;
  /** Whether the path holds `%2F`, which only some routes allow. */
  readonly encodedSlash: boolean;
}

/** Anything here needs a closer look. A path without any of it is safe: the usual case, one scan. */
const SUSPICIOUS = /[^\x21-\x7e]|[\\#%]|\/[/.]/;

/** Bytes no URI has (RFC 3986 §2), the separators some parsers take for a slash or an end, empty segments. */
const NEVER_PLAIN = /[^\x21-\x7e]|[\\#]|\/\//;

/** What must not appear after decoding once; the escapes catch what a second decoding would make of it. */
const NEVER_DECODED = /[\p{Cc}\\]|\/\/|%(?:2e|2f|5c|[01][0-9a-f]|7f)/iu;

/** `.` and `..`, also with path parameters, which some servers strip before they resolve dot segments. */
const DOT_SEGMENT = /^\.\.?(?:;|$)/;

/** Takes a request target apart; null where two parsers could read its path differently. */
export function parseTarget(target: string): RequestTarget | null {
  const mark = target.indexOf('?');
  const path = mark === -1 ? target : target.slice(0, mark);
  if (path.charCodeAt(0) !== 0x2f) return null; // absolute-form, authority-form, asterisk-form
  if (mark !== -1 && target.includes('#', mark)) return null; // a fragment is no part of a target
  let encodedSlash = false;
  if (SUSPICIOUS.test(path)) {
    if (isAmbiguous(path)) return null;
    encodedSlash = /%2f/i.test(path);
  }
  // The one place where a path becomes safe.
  return { path: path as SafePath, query: mark === -1 ? '' : target.slice(mark + 1), encodedSlash };
}

function isAmbiguous(path: string): boolean {
  if (NEVER_PLAIN.test(path)) return true;
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    return true; // a malformed escape, or escapes that are no UTF-8 (overlong forms of "/" among them)
  }
  return NEVER_DECODED.test(decoded) || decoded.split('/').some((segment) => DOT_SEGMENT.test(segment));
}
