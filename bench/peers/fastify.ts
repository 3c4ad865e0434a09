import httpProxy from '@fastify/http-proxy';
import fastify from 'fastify';
import { knownCaller, verifyCaller } from './token-lookup.ts';

/** Fastify with its own proxy plugin (undici inside) and a cached token lookup: what one would build in an hour. */
const app = fastify({ logger: false, keepAliveTimeout: 75_000 });

await app.register(httpProxy, {
  upstream: process.env.UPSTREAM ?? '',
  undici: { connections: 512, pipelining: 1 },
  async preHandler(request, reply) {
    const { authorization } = request.headers;
    const caller = knownCaller(authorization) ?? (await verifyCaller(authorization));
    if (caller === null) await reply.code(401).send({ error: 'invalid token' });
    else request.headers['x-user-id'] = caller.id;
  },
});
await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1', backlog: 4096 });
