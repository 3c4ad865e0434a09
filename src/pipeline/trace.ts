import { randomUUID } from 'node:crypto';
import type { Exchange } from './exchange.ts';
import { randomHex } from './random-hex.ts';
import type { Stage } from './stage.ts';
import { ALLOW } from './verdict.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** W3C Trace Context §3.2: version, trace id, parent id, flags; ids of zeros only are invalid. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/;

/** Gives the request its trace id: the client's if that is a UUID, else a new one (contract §8). */
export const trace: Stage = {
  name: 'trace',
  decide(exchange: Exchange) {
    const { traceId, traceparent } = exchange.head;
    exchange.traceId = traceId !== '' && UUID.test(traceId) ? traceId.toLowerCase() : randomUUID();
    exchange.traceparent = TRACEPARENT.test(traceparent) ? traceparent : newTraceparent(exchange.traceId);
    return ALLOW;
  },
};

/** A trace id of zeros only is invalid in W3C's notation; as a UUID a client may have sent it. */
const NIL = '00000000-0000-0000-0000-000000000000';

/** Begins a W3C trace under the same id, so that both notations find each other. */
function newTraceparent(traceId: string): string {
  return `00-${traceId === NIL ? randomHex(32) : withoutHyphens(traceId)}-${randomHex(16)}-01`;
}

/** By position, because every UUID has its hyphens in the same places: a third of the cost of replacing them. */
function withoutHyphens(uuid: string): string {
  return uuid.slice(0, 8) + uuid.slice(9, 13) + uuid.slice(14, 18) + uuid.slice(19, 23) + uuid.slice(24);
}
