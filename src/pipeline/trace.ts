import type { Exchange } from './exchange.ts';
import { newTrace } from './new-traces.ts';
import type { Stage } from './stage.ts';
import { ALLOW } from './verdict.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Valid as a UUID, but no valid trace id in W3C's notation. */
const NIL = '00000000-0000-0000-0000-000000000000';

/** W3C Trace Context §3.2: version, trace id, parent id, flags; ids of zeros only are invalid. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/;

/** Gives the request its trace id: the client's if that is a UUID, else a new one (contract §8). */
export const trace: Stage = {
  name: 'trace',
  decide(exchange: Exchange) {
    const { traceId, traceparent } = exchange.head;
    const begun = newTrace();
    if (traceId !== '' && UUID.test(traceId)) {
      exchange.traceId = traceId.toLowerCase();
      exchange.traceparent =
        exchange.traceId === NIL ? begun.traceparent : `00-${digitsOf(exchange.traceId)}${begun.span}`;
    } else {
      exchange.traceId = begun.traceId;
      exchange.traceparent = begun.traceparent;
    }
    if (traceparent !== '' && TRACEPARENT.test(traceparent)) exchange.traceparent = traceparent;
    return ALLOW;
  },
};

/** By position, because every UUID has its hyphens in the same places: a third of the cost of replacing them. */
function digitsOf(uuid: string): string {
  return uuid.slice(0, 8) + uuid.slice(9, 13) + uuid.slice(14, 18) + uuid.slice(19, 23) + uuid.slice(24);
}
