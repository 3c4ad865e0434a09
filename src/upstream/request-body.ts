import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';

/**
 * A request's body on its way to the upstream. It stands between the two because whoever writes to the
 * upstream destroys its source when the upstream answers early, and destroying the client's message would
 * cut the connection that the answer must go out on.
 */
export class RequestBody extends Readable {
  readonly #message: IncomingMessage;

  constructor(message: IncomingMessage) {
    super();
    this.#message = message;
    message.on('data', this.#onData);
    message.on('end', this.#onEnd);
    message.on('error', this.#onError);
    message.on('close', this.#onClose);
  }

  override _read(): void {
    this.#message.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#message.off('data', this.#onData);
    this.#message.off('end', this.#onEnd);
    this.#message.off('close', this.#onClose);
    done(error);
  }

  readonly #onData = (chunk: Buffer) => {
    if (!this.push(chunk)) this.#message.pause();
  };
  readonly #onEnd = () => {
    this.push(null);
  };
  readonly #onError = (error: Error) => {
    this.destroy(error);
  };
  readonly #onClose = () => {
    if (!this.#message.complete) this.destroy(new Error('client went away'));
  };
}
