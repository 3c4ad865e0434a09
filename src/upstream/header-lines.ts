import { validateHeaderName, validateHeaderValue } from '../node-http.ts';

/**
 * Header lines as one text, for headers that many requests have in common: checked and put together once instead of
 * for each request. Every line begins with the CRLF that ends the one before it.
 * @param headers flat: name, value, …
 * @throws TypeError for a name or value that may not stand in a header (RFC 9110 §5.1, §5.5)
 */
export function headerLines(headers: readonly string[]): string {
  const lines: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string; // both exist: the loop's condition
    const value = headers[i + 1] as string;
    validateHeaderName(name);
    validateHeaderValue(name, value);
    lines.push(`\r\n${name}: ${value}`);
  }
  return lines.join('');
}

/** The headers of {@link headerLines}, flat. */
export function headersOf(lines: string): string[] {
  return lines
    .split('\r\n')
    .slice(1)
    .flatMap((line) => {
      const colon = line.indexOf(': ');
      return [line.slice(0, colon), line.slice(colon + 2)];
    });
}
