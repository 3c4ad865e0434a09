import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Chain, digestOf } from '../../../src/audit/chain.ts';
import { readFrames, type SignedEvent, signedEvent } from '../../../src/audit/frame.ts';
import { FrameWriter } from '../../../src/audit/frame-writer.ts';
import { Scribe } from '../../../src/audit/scribe.ts';
import { AuditSigner } from '../../../src/audit/signature.ts';
import type { TrailEntry } from '../../../src/audit/trail-entry.ts';
import { TrailVerifier, type Verdict } from '../../../src/audit/trail-verifier.ts';
import { factsOf, SUBJECT } from '../../setup/audit-subject.ts';

const signer = new AuditSigner('a secret of the platform');
const T0 = Date.UTC(2026, 0, 1);

/** `count` events of one worker that arrive 20 ms after their ends, 10 ms apart. */
function trail(
  count: number,
  worker = 'aaaa.1.m0000000',
  last: string | null = null,
  from = 0,
): TrailEntry[] {
  const scribe = new Scribe(new Chain(worker, last), signer);
  const writer = new FrameWriter();
  return Array.from({ length: count }, (_value, i) => {
    const startedAt = T0 + (from + i) * 10;
    const facts = factsOf({ ...SUBJECT, startedAt, path: `/api/lims/${i}` });
    const id = `${startedAt + 21}-0`;
    writer.clear();
    scribe.write(facts, writer);
    const payload = readFrames(writer.bytes).records[0]?.payload ?? '';
    return { id, place: id, ...(signedEvent(payload) as SignedEvent) };
  });
}

function verify(entries: readonly TrailEntry[], complete = true): Verdict {
  const verifier = new TrailVerifier(signer);
  for (const entry of entries) verifier.add(entry);
  return verifier.verdict(complete);
}
const faultsOf = (entries: readonly TrailEntry[], complete = true) =>
  verify(entries, complete).faults.map(({ kind, place }) => [kind, place]);

/** The entries with the contents of two of them exchanged; their ids stay where they are. */
function swapped(entries: readonly TrailEntry[], i: number, j: number): TrailEntry[] {
  const [a, b] = [entries[i], entries[j]];
  if (a === undefined || b === undefined) throw new Error('no such entries');
  return entries.map((entry) => {
    const content = entry === a ? b : entry === b ? a : entry;
    return { ...entry, data: content.data, sig: content.sig };
  });
}

test('a whole trail has no faults', () => {
  const first = trail(50);
  const next = trail(50, 'aaaa.1.m0000001', digestOf(first.at(-1)?.data ?? ''), 50);
  expect(verify([...first, ...next])).toMatchObject({ events: 100, repeats: 0, faults: [], notes: [] });
});

test('any byte that changes in text or signature is named', () => {
  const entries = trail(5);
  fc.assert(
    fc.property(
      fc.nat(4),
      fc.nat(),
      fc.integer({ min: 1, max: 127 }),
      fc.boolean(),
      (index, at, change, inText) => {
        const entry = entries[index];
        const text = (inText ? entry?.data : entry?.sig) ?? '';
        const where = at % text.length;
        const code = text.charCodeAt(where) ^ change;
        const changed = text.slice(0, where) + String.fromCharCode(code) + text.slice(where + 1);
        const copy = entries.map((one) =>
          one === entry ? { ...one, [inText ? 'data' : 'sig']: changed } : one,
        );
        expect(faultsOf(copy)).toContainEqual(['forged', entry?.place]);
      },
    ),
    { numRuns: 200 },
  );
});

test('any entry that is deleted shows, but for the last of all', () => {
  const entries = trail(30);
  fc.assert(
    fc.property(fc.nat(28), (index) => {
      const copy = entries.toSpliced(index, 1);
      const [fault, ...more] = verify(copy).faults;
      expect([fault?.kind, fault?.place, more]).toEqual(['missing', copy[Math.max(0, index - 1)]?.place, []]);
      expect(fault?.message).toContain(`number ${index + 1} is missing`);
    }),
  );
});

test('the end of a chain that was cut off shows by the chain that follows', () => {
  const first = trail(50);
  const next = trail(50, 'aaaa.1.m0000001', digestOf(first.at(-1)?.data ?? ''), 50);
  expect(faultsOf([...first.slice(0, 47), ...next])).toEqual([['missing', first[46]?.place]]);
  expect(verify(next).notes).toHaveLength(1);
});

test('what lies before a range is not missing', () => {
  expect(faultsOf(trail(30).slice(10), false)).toEqual([]);
  expect(faultsOf(trail(30).slice(10), true)).toHaveLength(1);
});

test('any two entries that are swapped are named, however far apart', () => {
  const entries = trail(120);
  fc.assert(
    fc.property(fc.nat(119), fc.nat(119), (i, j) => {
      fc.pre(i !== j);
      const { faults } = verify(swapped(entries, i, j));
      expect(new Set(faults.map(({ kind }) => kind))).toEqual(new Set(['moved']));
      const text = faults.map(({ place, message }) => `${place} ${message}`).join('\n');
      expect(text).toContain(entries[i]?.place);
      expect(text).toContain(entries[j]?.place);
    }),
  );
});

test('events that arrive again, or late because the stream was away, are fine', () => {
  const entries = trail(100);
  const later = (from: number, to: number) =>
    entries.slice(from, to).map((entry, i) => ({ ...entry, id: `${T0 + 60_000 + i}-0`, place: `late ${i}` }));
  expect(verify([...entries, ...later(20, 40)])).toMatchObject({ faults: [], repeats: 20, events: 100 });
  expect(verify([...entries.slice(0, 20), ...entries.slice(40), ...later(20, 40)]).faults).toEqual([]);
});

test('two different events under one number are reported', () => {
  const entries = trail(10);
  const forger = trail(10, 'aaaa.1.m0000000');
  expect(faultsOf([...entries, ...forger.slice(4, 5)])).toEqual([['conflict', forger[4]?.place]]);
});

test('unsigned events of this gateway are reported, those of others are not', () => {
  const entries = trail(3);
  const stripped = entries.map((entry, i) => (i === 1 ? { ...entry, sig: '' } : entry));
  const foreign = [null, '{"service":"iam"}', 'nonsense'].map((data) => ({
    id: '1-0',
    place: '1-0',
    data,
    sig: '',
  }));
  expect(faultsOf([...foreign, ...stripped])).toEqual([['unsigned', entries[1]?.place]]);
  expect(verify([...foreign, ...entries])).toMatchObject({ foreign: 3, events: 3, faults: [] });
});
