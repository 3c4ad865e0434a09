import type { IncomingMessage } from 'node:http';

/**
 * Reads a whole request body of at most `limit` bytes; null where it is longer. Rejects where the client
 * goes away meanwhile.
 */
export function readBody(request: IncomingMessage, limit: number): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const onData = (chunk: Buffer) => {
      length += chunk.length;
      if (length > limit) return settle(() => resolve(null));
      chunks.push(chunk);
    };
    const onEnd = () => settle(() => resolve(Buffer.concat(chunks)));
    const onClose = () => settle(() => reject(new Error('client went away')));
    const settle = (how: () => void) => {
      request.off('data', onData).off('end', onEnd).off('close', onClose);
      request.pause();
      how();
    };
    request.on('data', onData).on('end', onEnd).on('close', onClose);
  });
}
