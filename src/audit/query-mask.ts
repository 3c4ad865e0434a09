/** Parameters whose values tell what was looked at and hold no secret. */
const SHOWN = new Set([
  'page',
  'page_size',
  'per_page',
  'limit',
  'offset',
  'view',
  'sort',
  'order',
  'state',
  'status',
]);

/** Longest query an event carries; the rest is cut. */
const MAX_QUERY = 512;

/** A value that may be shown: short and plain, so that no secret hides behind a harmless name. */
const HARMLESS = /^[\w.,:-]{0,32}$/;

/** Keeps the names of a query's parameters and replaces their values, except those on an allow-list. */
export function maskQuery(query: string): string {
  const masked = query
    .slice(0, MAX_QUERY)
    .split('&')
    .map((pair) => {
      const equals = pair.indexOf('=');
      // Without a name, the whole pair may be the secret.
      if (equals === -1) return pair === '' ? '' : '***';
      const name = pair.slice(0, equals);
      const value = pair.slice(equals + 1);
      return SHOWN.has(name) && HARMLESS.test(value) ? pair : `${name}=***`;
    })
    .join('&');
  return query.length > MAX_QUERY ? `${masked}&…` : masked;
}
