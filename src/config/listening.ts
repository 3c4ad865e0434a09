import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { z } from 'zod';
import { type FileReader, integer, seconds, text } from './fields.ts';

/** Variables about clients' connections. */
export const listeningFields = {
  HEADERS_TIMEOUT: seconds(0.05, 3600, 20),
  BODY_IDLE_TIMEOUT: seconds(0.05, 86_400, 30),
  // Longer than proxies in front keep theirs, so that they are the ones to close.
  KEEP_ALIVE_TIMEOUT: seconds(0.05, 86_400, 75),
  MAX_CONNECTIONS_PER_ADDRESS: integer(1, 1_000_000, 16_384),
  MAX_REQUESTS_PER_CONNECTION: integer(0, 1_000_000_000, 100_000),
  MAX_EVENT_LOOP_LAG: seconds(0.001, 60, 0.5),
  TLS_CERT: text,
  TLS_KEY: text,
  TLS_CLIENT_CA: text,
};

type Values = { readonly [Name in keyof typeof listeningFields]: z.infer<(typeof listeningFields)[Name]> };

/** What is bearable from clients, and how they are spoken to. Times in milliseconds. */
export interface Listening {
  /** A head must have come so long after its connection or its first byte. */
  readonly headersTimeout: number;
  /** A body may pause so long, or come slower than is worth waiting for. */
  readonly bodyIdleTimeout: number;
  /** A connection without a request is kept so long. */
  readonly keepAliveTimeout: number;
  /** In each worker; trusted proxies are exempt. */
  readonly maxConnectionsPerAddress: number;
  /** The last of them closes its connection; 0: no limit. */
  readonly maxRequestsPerConnection: number;
  /** Requests are refused while the event loop is later than this again and again. */
  readonly maxEventLoopLag: number;
  /** Null: plain HTTP. */
  readonly tls: TlsFiles | null;
}

/** Contents of the files, in PEM. */
interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Issuers of the certificates that every client must show; null: none is asked for. */
  readonly clientCa: string | null;
}

/** Reads the certificates too; what cannot be used goes to `faults`. */
export function loadListening(values: Values, read: FileReader, faults: string[]): Listening {
  return Object.freeze({
    headersTimeout: values.HEADERS_TIMEOUT,
    bodyIdleTimeout: values.BODY_IDLE_TIMEOUT,
    keepAliveTimeout: values.KEEP_ALIVE_TIMEOUT,
    maxConnectionsPerAddress: values.MAX_CONNECTIONS_PER_ADDRESS,
    maxRequestsPerConnection: values.MAX_REQUESTS_PER_CONNECTION,
    maxEventLoopLag: values.MAX_EVENT_LOOP_LAG,
    tls: loadTls(values, read, faults),
  });
}

function loadTls(
  { TLS_CERT, TLS_KEY, TLS_CLIENT_CA }: Values,
  read: FileReader,
  faults: string[],
): TlsFiles | null {
  if (TLS_CERT === null && TLS_KEY === null) {
    if (TLS_CLIENT_CA !== null) faults.push('TLS_CLIENT_CA: is set, expected TLS_CERT and TLS_KEY with it');
    return null;
  }
  const certificate = { parse: (pem: string) => new X509Certificate(pem), called: 'certificate' };
  const privateKey = { parse: createPrivateKey, called: 'private key without passphrase' };
  const cert = readPem('TLS_CERT', TLS_CERT, certificate, read, faults);
  const key = readPem('TLS_KEY', TLS_KEY, privateKey, read, faults);
  const clientCa =
    TLS_CLIENT_CA === null ? null : readPem('TLS_CLIENT_CA', TLS_CLIENT_CA, certificate, read, faults);
  if (cert === null || key === null) return null;
  if (!cert.parsed.checkPrivateKey(key.parsed))
    faults.push('TLS_KEY: is another key, expected the one of the certificate in TLS_CERT');
  return { cert: cert.pem, key: key.pem, clientCa: clientCa?.pem ?? null };
}

function readPem<Parsed>(
  name: string,
  path: string | null,
  content: { readonly parse: (pem: string) => Parsed; readonly called: string },
  read: FileReader,
  faults: string[],
): { pem: string; parsed: Parsed } | null {
  const expected = `expected a PEM file with a ${content.called}`;
  if (path === null) {
    faults.push(`${name}: is missing, ${expected}`);
    return null;
  }
  let pem: string;
  try {
    pem = read(path);
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? error.code : 'unknown error';
    faults.push(`${name}: ${path} cannot be read (${why}), ${expected}`);
    return null;
  }
  try {
    return { pem, parsed: content.parse(pem) };
  } catch {
    faults.push(`${name}: ${path} holds none, ${expected}`);
    return null;
  }
}
