import { randomBytes, randomUUID } from 'node:crypto';
import type { Exchange } from './exchange.ts';
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

/** Begins a W3C trace under the same id, so that both notations find each other. */
function newTraceparent(traceId: string): string {
  const id = traceId.replaceAll('-', '');
  return `00-${id === '0'.repeat(32) ? randomBytes(16).toString('hex') : id}-${spanId()}-01`;
}

function spanId(): string {
  const id = randomUUID(); // drawn from a cache: a third of the cost of randomBytes
  return id.slice(0, 8) + id.slice(9, 13) + id.slice(14, 18);
}
