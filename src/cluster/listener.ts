import type { IncomingMessage, Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Listening } from '../config/listening.ts';
import { createServer } from '../node-http.ts';
import { GatewayResponse } from '../pipeline/gateway-response.ts';

/** Largest request line and headers together. Bytes. */
const MAX_HEADER_SIZE = 32_768;

export type Listener = Server<typeof IncomingMessage, typeof GatewayResponse>;

/**
 * Makes the HTTP server, over TLS where there is a certificate; nothing is attached to it yet.
 * @param shouldUpgrade whether a request that asks for it leaves HTTP
 */
export function createListener(
  listening: Listening,
  shouldUpgrade: (request: IncomingMessage) => boolean,
): Listener {
  const { headersTimeout, keepAliveTimeout, maxRequestsPerConnection, tls } = listening;
  const options = {
    ServerResponse: GatewayResponse,
    maxHeaderSize: MAX_HEADER_SIZE,
    headersTimeout,
    connectionsCheckingInterval: Math.min(5_000, headersTimeout / 2),
    // An upload may take hours; whether it goes on is looked at elsewhere.
    requestTimeout: 0,
    keepAliveTimeout,
    // Answered by the pipeline, with a trace id.
    requireHostHeader: false,
    // Never: what it lets through is read differently by every server behind.
    insecureHTTPParser: false,
    shouldUpgradeCallback: shouldUpgrade,
  };
  const server =
    tls === null
      ? createServer(options)
      : // A server of its own class, but with all events, options and methods of the plain one.
        (createTlsServer({
          ...options,
          cert: tls.cert,
          key: tls.key,
          ...(tls.clientCa === null
            ? null
            : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
          minVersion: 'TLSv1.2',
          ALPNProtocols: ['http/1.1'],
          handshakeTimeout: headersTimeout,
        }) as unknown as Listener);
  // The parser would pass over what is beyond its own limit; the pipeline refuses such a request.
  server.maxHeadersCount = 0;
  server.maxRequestsPerSocket = maxRequestsPerConnection;
  return server;
}
