import { createServer, type Socket } from 'node:net';

/**
 * The service behind every proxy: answers any request without a body with 1 KB of JSON. Written on bare sockets
 * so that it costs a fraction of what is measured. `PORT` says where it listens.
 */
const BODY = JSON.stringify({ samples: [], padding: 'x'.repeat(1024 - 30) });
const ANSWER = Buffer.from(
  'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n' +
    `Content-Length: ${Buffer.byteLength(BODY)}\r\nConnection: keep-alive\r\n\r\n${BODY}`,
);

/** Counts the request heads that end in what has come; a proxy may split or join them at will. */
function serve(socket: Socket): void {
  let matched = 0;
  socket.setNoDelay(true);
  socket.on('data', (chunk) => {
    if (matched === 0 && chunk.indexOf('\r\n\r\n') === chunk.length - 4) {
      socket.write(ANSWER); // the usual case: one whole head
      return;
    }
    for (const byte of chunk) {
      if (byte === (matched % 2 === 0 ? 13 : 10)) matched++;
      else matched = byte === 13 ? 1 : 0;
      if (matched === 4) {
        matched = 0;
        socket.write(ANSWER);
      }
    }
  });
  socket.on('error', () => socket.destroy());
}

createServer(serve).listen({ port: Number(process.env.PORT), host: '127.0.0.1', backlog: 4096 });
