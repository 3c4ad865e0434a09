import type { Chain } from './chain.ts';
import { eventText } from './event-text.ts';
import type { Facts } from './facts.ts';
import type { FrameWriter } from './frame-writer.ts';
import { textOfPromise } from './recovery.ts';
import type { AuditSigner } from './signature.ts';

/** What an event is made from: the facts of a request, or the text of a promise nobody can keep any more. */
export type Source = Facts | { readonly promise: string };

/** Turns facts into the signed events of one chain. */
export class Scribe {
  readonly chain: Chain;
  readonly #signer: AuditSigner;

  constructor(chain: Chain, signer: AuditSigner) {
    this.chain = chain;
    this.#signer = signer;
  }

  /** Writes the next event of the chain. */
  write(source: Source, writer: FrameWriter): void {
    const data = writer.begin('e', this.#text(source, this.chain.next()));
    this.chain.add(data);
    writer.sign(this.#signer.sign(data));
  }

  /** Writes a promise of an event: part of no chain, and no event to anybody else. */
  promise(facts: Facts, writer: FrameWriter): void {
    const data = writer.begin('i', eventText(facts, null));
    writer.sign(this.#signer.signIntent(data));
  }

  #text(source: Source, link: ReturnType<Chain['next']>): string {
    return 'promise' in source ? textOfPromise(source.promise, link) : eventText(source, link);
  }
}
