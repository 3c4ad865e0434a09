import { ServerResponse } from '../node-http.ts';
import type { Exchange } from './exchange.ts';

/** The server's response class, with a place for the exchange, so that no listener needs a closure. */
export class GatewayResponse extends ServerResponse {
  exchange: Exchange | null = null;
}
