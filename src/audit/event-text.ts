import type { ChainLink } from './chain.ts';
import type { Facts } from './facts.ts';
import { capped, MAX_LENGTH, nullable, quoted } from './json-text.ts';
import { maskQuery } from './query-mask.ts';

/**
 * The JSON text of one event, in ASCII, members in the contract's order. Built by hand: a third of the cost
 * of an object and `JSON.stringify`.
 * @param link null: a promise, which becomes part of no chain
 */
export function eventText(facts: Facts, link: ChainLink | null): string {
  const { method, path, resource, who, decision, query } = facts;
  const separator = who.indexOf('\n');
  const action = `${method} ${path}`;
  const cut = action.length > MAX_LENGTH || resource.length > MAX_LENGTH;
  return (
    `{"event_id":"${facts.eventId}","timestamp":"${timestamp(facts.startedAt)}","service":"gateway",` +
    `"event_type":"${facts.eventType}",${who.slice(0, separator)},` +
    `"action":${capped(action)},"resource":${nullable(resource)},` +
    `"decision":${decision === null ? 'null' : `"${decision}"`},"reason":${nullable(facts.reason)},` +
    `"trace_id":"${facts.traceId}","context":{"client":${quoted(facts.client)},` +
    `"route":${nullable(facts.route)},"stage":${nullable(facts.stage)},` +
    `"bytes_in":${facts.bytesIn},"bytes_out":${facts.bytesOut}` +
    who.slice(separator + 1) +
    (facts.caller === '' ? '' : `,"caller":${capped(facts.caller)}`) +
    (query === '' ? '' : `,"query":${quoted(maskQuery(query))}`) +
    duration('auth_ms', facts.authMs) +
    duration('policy_ms', facts.policyMs) +
    duration('hpc_ms', facts.hpcMs) +
    duration('upstream_ms', facts.upstreamMs) +
    (facts.open ? ',"outcome":"unknown"' : '') +
    (cut ? ',"truncated":true' : '') +
    (link === null ? '' : `,"chain":${chainText(link)}`) +
    `},"status_code":${facts.statusCode},"latency_ms":${rounded(facts.latencyMs)},"endpoint":${quoted(path)}}`
  );
}

export function chainText({ worker, seq, prev }: ChainLink): string {
  return `{"worker":"${worker}","seq":${seq},"prev":${prev === null ? 'null' : `"${prev}"`}}`;
}

function duration(name: string, milliseconds: number): string {
  return milliseconds < 0 ? '' : `,"${name}":${rounded(milliseconds)}`;
}

function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}

let lastMillisecond = 0;
let lastText = '';

/** ISO 8601 in UTC with microseconds. The formatted text is kept for the events of one millisecond. */
function timestamp(epochMilliseconds: number): string {
  const millisecond = Math.floor(epochMilliseconds);
  if (millisecond !== lastMillisecond) {
    lastMillisecond = millisecond;
    lastText = new Date(millisecond).toISOString().slice(0, -1);
  }
  return `${lastText}000+00:00`;
}
