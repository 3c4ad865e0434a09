import { setFlagsFromString } from 'node:v8';

/**
 * Tells V8 how to collect in a process that passes bodies on. Called once its code is loaded: V8 does not use what it
 * compiled under other flags.
 */
export function tuneCollection(): void {
  // V8 takes what is made for each connection for long-lived and puts it where it is collected once in seconds; until
  // then all it refers to counts as alive and is copied: 30 ms for each young collection instead of 0.5.
  setFlagsFromString('--no-allocation-site-pretenuring');
  // Buffers of bodies lie outside the heap. V8 collects the whole heap for each 64 MB of them, whether they are
  // garbage by then or not: half of the CPU time of a large body. Counted with the heap, they wait for its own limit.
  setFlagsFromString('--external-memory-accounted-in-global-limit');
}
