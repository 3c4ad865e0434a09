import { sendBulk } from './bulk.ts';
import { sendOnFresh } from './fresh.ts';
import { sendEachTokenOnce, sendOnKept } from './kept.ts';
import type { LoadSpec } from './spec.ts';
import { receiveStreams } from './stream.ts';
import { Window } from './window.ts';

/** The load generator: a process of its own, so that what it spends is not the server's. Runs one load at a time. */
process.on('message', (spec: LoadSpec) => {
  run(spec).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ fault: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
process.send?.({ ready: true });

const kinds = { kept: sendOnKept, fresh: sendOnFresh, stream: receiveStreams, bulk: sendBulk };

async function run(spec: LoadSpec) {
  const window = new Window(spec.watch, spec.ours);
  if (spec.kind === 'fill') {
    window.open();
    await sendEachTokenOnce(spec);
    return window.close();
  }
  const stop = kinds[spec.kind](spec, window);
  await sleep(spec.warmUp);
  window.open();
  await sleep(spec.duration);
  const result = window.close();
  await stop();
  return result;
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
