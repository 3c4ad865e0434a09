import { expect, test } from 'vitest';
import { newTrace } from '../../../src/pipeline/new-traces.ts';

test('each trace is a UUID and a traceparent with the same digits, and none comes twice', () => {
  const ids = new Set<string>();
  const spans = new Set<string>();
  for (let i = 0; i < 5_000; i++) {
    const { traceId, traceparent, span } = newTrace();
    expect(traceId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(span).toMatch(/^-[0-9a-f]{16}-01$/);
    expect(traceparent).toBe(`00-${traceId.replaceAll('-', '')}${span}`);
    ids.add(traceId);
    spans.add(span);
  }
  expect(ids.size).toBe(5_000);
  expect(spans.size).toBe(5_000);
});

test('every digit that is drawn takes all its values', () => {
  const traces = Array.from({ length: 2_000 }, () => newTrace().traceparent);
  for (let place = 3; place < 52; place++) {
    const seen = new Set(traces.map((text) => text[place]));
    expect(seen.size).toBe(place === 35 || place === 15 ? 1 : place === 19 ? 4 : 16);
  }
});
