/**
 * What the gateway uses of `node:http`. An `import` of it reads every export, and three of them (`WebSocket` and its
 * events) load Node's built-in copy of undici for it: 50 ms of each process's start, for nothing.
 */
export const { createServer, request, ServerResponse, validateHeaderName, validateHeaderValue } =
  process.getBuiltinModule('node:http');
