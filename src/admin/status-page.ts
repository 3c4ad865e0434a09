import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

const HTML = readFileSync(new URL('./status-page.html', import.meta.url));

/** Allows what the page holds itself, by digest, and asking this port; nothing else, in nobody's frame. */
function contentSecurityPolicy(html: string): string {
  const digest = (element: string) => {
    const [, content = ''] = new RegExp(`<${element}>(.*?)</${element}>`, 's').exec(html) ?? [];
    return `'sha256-${createHash('sha256').update(content).digest('base64')}'`;
  };
  return [
    "default-src 'none'",
    `script-src ${digest('script')}`,
    `style-src ${digest('style')}`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

/** The status page: one document without any other asset. */
export const STATUS_PAGE = {
  headers: {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': contentSecurityPolicy(HTML.toString()),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  },
  body: HTML,
};
