import { Agent } from 'node:http';
import express from 'express';
import { createProxyMiddleware } from 'http-proxy-middleware';
import { knownCaller, verifyCaller } from './token-lookup.ts';

/** Express with http-proxy-middleware, kept connections to the upstream and a cached token lookup. */
const app = express();
app.disable('x-powered-by');

app.use(async (request, response, next) => {
  const { authorization } = request.headers;
  const caller = knownCaller(authorization) ?? (await verifyCaller(authorization));
  if (caller === null) {
    response.status(401).json({ error: 'invalid token' });
    return;
  }
  request.headers['x-user-id'] = caller.id;
  next();
});
app.use(
  createProxyMiddleware({
    target: process.env.UPSTREAM ?? '',
    agent: new Agent({ keepAlive: true, maxFreeSockets: 512 }),
  }),
);
app.listen(Number(process.env.PORT), '127.0.0.1');
