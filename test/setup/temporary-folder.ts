import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** One folder for all that a run of the tests puts down, so that nothing of it stays, not even of a test that was killed. */
export default function holdTemporaryFiles(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'gateway-tests-'));
  process.env.TMPDIR = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
