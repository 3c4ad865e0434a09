import { z } from 'zod';
import { parseRedisUrl } from '../redis/redis-url.ts';

/** Gives the text of a file that a variable names. */
export type FileReader = (path: string) => string;

/** An environment variable set to the empty string counts as unset, as Compose files write it. */
function unsetIfEmpty(value: unknown): unknown {
  return value === '' ? undefined : value;
}

/** A whole number within [min, max]. */
export function integer(min: number, max: number, fallback: number) {
  const expected = `expected a whole number from ${min} to ${max}`;
  return z.preprocess(
    unsetIfEmpty,
    z
      .string()
      .regex(/^\d{1,15}$/, expected)
      .transform(Number)
      .refine((value) => value >= min && value <= max, expected)
      .default(fallback),
  );
}

/** A time given in seconds (decimals allowed), kept in milliseconds. */
export function seconds(min: number, max: number, fallback: number) {
  const expected = `expected seconds from ${min} to ${max}`;
  return z.preprocess(
    unsetIfEmpty,
    z
      .string()
      .regex(/^\d{1,9}(\.\d{1,6})?$/, expected)
      .transform(Number)
      .refine((value) => value >= min && value <= max, expected)
      .default(fallback)
      .transform((value) => Math.round(value * 1000)),
  );
}

/** Any non-empty text; null where the variable is unset. */
export const text = z.preprocess(unsetIfEmpty, z.string().nullable().default(null));

/** Text that is sent as a header; null where the variable is unset. */
export const headerValue = z.preprocess(
  unsetIfEmpty,
  z
    .string()
    .regex(/^[\x21-\x7e]+$/, 'expected printable characters without spaces')
    .nullable()
    .default(null),
);

/** Text with a default. */
export function textOr(fallback: string) {
  return z.preprocess(unsetIfEmpty, z.string().default(fallback));
}

/** `on` or `off`, as a boolean. */
export function onOff(fallback: 'on' | 'off') {
  return oneOf(['on', 'off'], fallback).transform((word) => word === 'on');
}

/** Name of a cookie (RFC 6265 §4.1.1); null where the variable is unset. */
export const cookieName = z.preprocess(
  unsetIfEmpty,
  z
    .string()
    .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/, 'expected the name of a cookie')
    .nullable()
    .default(null),
);

/** One of a few words. */
export function oneOf<const Word extends string>(words: readonly [Word, ...Word[]], fallback: NoInfer<Word>) {
  return z.preprocess(
    (value) => unsetIfEmpty(value) ?? fallback,
    z.enum(words, `expected ${words.join(', ').replace(/, (?=[^,]*$)/, ' or ')}`),
  );
}

/** Why `value` is no base URL of an HTTP service, or null if it is one. */
export function httpUrlFault(value: string): string | null {
  const url = URL.parse(value);
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === '') {
    return 'expected a URL beginning with http:// or https://';
  }
  if (url.username !== '' || url.password !== '') return 'expected a URL without user name and password';
  if (url.search !== '' || url.hash !== '') return 'expected a URL without query and fragment';
  return null;
}

const httpUrlText = z.string().superRefine((value, context) => {
  const fault = httpUrlFault(value);
  if (fault !== null) context.addIssue({ code: 'custom', message: fault });
});

/** Takes the trailing slashes off, so that a path can be appended. */
export function withoutTrailingSlash(url: string): string {
  return url.replace(/\/+$/, '');
}

/** Base URL of an HTTP service, without trailing slash. */
export function httpUrl(fallback: string) {
  return z.preprocess(unsetIfEmpty, httpUrlText.default(fallback)).transform(withoutTrailingSlash);
}

/** The same without a default. */
export const optionalHttpUrl = z.preprocess(unsetIfEmpty, httpUrlText.nullable().default(null));

/** One or more base URLs, separated by commas. */
export function httpUrls(fallback: string) {
  return z
    .preprocess(unsetIfEmpty, z.string().default(fallback))
    .transform((value) => value.split(',').map((part) => withoutTrailingSlash(part.trim())))
    .superRefine((urls, context) => {
      for (const url of urls) {
        const fault = httpUrlFault(url);
        if (fault !== null) context.addIssue({ code: 'custom', message: fault });
      }
    });
}

const REDIS_URL_EXPECTED =
  'expected redis://host, redis+sentinel://host,host/master or redis+cluster://host,host';

function isRedisUrl(value: string): boolean {
  return parseRedisUrl(value) !== null;
}

/** A Redis URL; the empty string is kept, because it asks for embedded mode. */
export const redisUrl = z
  .string()
  .default('redis://redis:6379')
  .refine(
    (value) => value === '' || isRedisUrl(value),
    `${REDIS_URL_EXPECTED}, or nothing for embedded mode`,
  );

/** A Redis URL that may be left out. */
export const optionalRedisUrl = z.preprocess(
  unsetIfEmpty,
  z
    .string()
    .nullable()
    .default(null)
    .refine((value) => value === null || isRedisUrl(value), REDIS_URL_EXPECTED),
);

/** Origins as browsers write them (RFC 6454 §6.2), separated by commas; compared as a whole, so no pattern. */
export const origins = z
  .preprocess(unsetIfEmpty, z.string().default(''))
  .transform((list) => list.split(',').map((part) => part.trim()))
  .transform((list) => new Set(list.filter((part) => part !== '')))
  .superRefine((list, context) => {
    for (const origin of list) {
      const url = URL.parse(origin);
      if (url === null || !/^https?:$/.test(url.protocol) || url.origin !== origin || origin.includes('*')) {
        context.addIssue({
          code: 'custom',
          message: 'expected origins such as https://studio.example.org, without path or default port',
        });
      }
    }
  });
