import { Readable } from 'node:stream';
import type { UpstreamCall } from './call.ts';
import { RequestBodyError } from './faults.ts';

/**
 * A request's body on its way to the upstream. It stands between the two because whoever writes to the
 * upstream destroys its source when the upstream answers early, and destroying the client's message would
 * cut the connection that the answer must go out on. Nothing is read from the client before the upstream's
 * connection wants it, so a connection that could not be made has cost no byte of the body.
 */
export class RequestBody extends Readable {
  readonly #call: UpstreamCall;
  #reading = false;

  constructor(call: UpstreamCall) {
    super();
    this.#call = call;
    call.request.on('close', this.#onClose);
    // Whoever gave up on it does not listen any more.
    this.on('error', () => {});
  }

  override _read(): void {
    const { request } = this.#call;
    if (!this.#reading) {
      this.#reading = true;
      request.on('data', this.#onData);
      request.on('end', this.#onEnd);
      request.on('error', this.#onError);
    }
    request.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#call.request.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose);
    done(error);
  }

  readonly #onData = (chunk: Buffer) => {
    this.#call.bodyBytes += chunk.length;
    // The last bytes never leave, so that the upstream does not take what it has for the whole.
    if (this.#call.bodyBytes > this.#call.route.maxBody) this.destroy(new RequestBodyError('too_large'));
    else if (!this.push(chunk)) this.#call.request.pause();
  };
  readonly #onEnd = () => {
    this.push(null);
  };
  readonly #onError = () => {
    this.destroy(new RequestBodyError('aborted'));
  };
  readonly #onClose = () => {
    if (!this.#call.request.complete) this.destroy(new RequestBodyError('aborted'));
  };
}
