import { type Scenario, shape, users } from './scenario.ts';

const verify = shape({ paths: ['/auth/verify'] });
const upload = (size: number, connections: number) =>
  shape({ kind: 'bulk', method: 'POST', paths: ['/api/rag/sink'], bodySize: size, connections });
const download = (size: number, connections: number) =>
  shape({ kind: 'bulk', paths: [`/api/rag/source?bytes=${size}`], connections });
/** What the bare proxy, which strips no prefix, is asked for instead. */
const plain = <T extends { paths: readonly string[] }>(one: T): T => ({
  ...one,
  paths: one.paths.map((path) => path.replace('/api/rag', '')),
});
const events = shape({ kind: 'stream', paths: ['/api/rag/events?every=10'], connections: 200 });
const json = { accept: 'application/json', 'content-type': 'application/json' };
const submission = JSON.stringify({ name: 'align', resources: { cpu_cores: 4, ram_gb: 16 } });
const manyPaths = Array.from({ length: 200 }, (_, i) => `/api/lims/samples/${i}`);

/** Everything the bench measures, in the order of its report. */
export const scenarios: readonly Scenario[] = [
  {
    id: 'warm',
    title: 'Warm GET, 1 KB answer, 64 connections',
    note: 'Token and decision are cached. Fastify and Express do half of the job, nginx and HAProxy less: see bench/peers.',
    starts: 2,
    cases: [
      { id: 'warm', title: 'gateway, audit async', subject: 'gateway', shape: shape() },
      { id: 'warm-off', title: 'gateway, audit off', subject: 'gatewayAuditOff', shape: shape() },
      { id: 'warm-strict', title: 'gateway, audit strict', subject: 'gatewayStrict', shape: shape() },
      { id: 'bare', title: 'bare node:http + undici proxy', subject: 'bare', shape: shape() },
      { id: 'hello', title: 'node:http hello, no proxy', subject: 'hello', shape: shape() },
      { id: 'nginx-auth', title: 'nginx auth_request cached, log', subject: 'nginxAuth', shape: shape() },
      { id: 'nginx-proxy', title: 'nginx proxy only', subject: 'nginxProxy', shape: shape() },
      { id: 'haproxy', title: 'HAProxy jwt_verify', subject: 'haproxy', shape: shape() },
      { id: 'fastify', title: 'Fastify + http-proxy, token lookup', subject: 'fastify', shape: shape() },
      { id: 'express', title: 'Express + http-proxy, token lookup', subject: 'express', shape: shape() },
    ],
  },
  {
    id: 'connections',
    title: 'More connections',
    note: 'The same request on 64, 256 and 2,000 kept connections.',
    starts: 2,
    cases: [
      { id: 'conn-64', title: 'gateway, 64', subject: 'gateway', shape: shape() },
      { id: 'conn-256', title: 'gateway, 256', subject: 'gateway', shape: shape({ connections: 256 }) },
      { id: 'conn-2000', title: 'gateway, 2,000', subject: 'gateway', shape: shape({ connections: 2000 }) },
      {
        id: 'bare-256',
        title: 'bare proxy, 256',
        subject: 'bare',
        shape: shape({ connections: 256 }),
        fullOnly: true,
      },
      {
        id: 'bare-2000',
        title: 'bare proxy, 2,000',
        subject: 'bare',
        shape: shape({ connections: 2000 }),
        fullOnly: true,
      },
    ],
  },
  {
    id: 'verify',
    title: 'GET /auth/verify',
    note: "nginx's auth_request opens a new connection for every question: accepting it costs as much as answering.",
    starts: 2,
    cases: [
      {
        id: 'verify-fresh',
        title: 'gateway, new connections',
        subject: 'gateway',
        shape: { ...verify, kind: 'fresh' },
      },
      {
        id: 'hello-fresh',
        title: 'hello, new connections',
        subject: 'hello',
        shape: { ...verify, kind: 'fresh' },
      },
      { id: 'verify-kept', title: 'gateway, kept connections', subject: 'gateway', shape: verify },
      { id: 'hello-kept', title: 'hello, kept connections', subject: 'hello', shape: verify },
    ],
  },
  {
    id: 'stages',
    title: 'What stages cost when they have to ask',
    note: 'Quota decisions of safe methods are reused for seconds; a submission is judged each time. A cold token is verified, asked of IAM and stored in Redis; its decision is asked of the policy engine.',
    cases: [
      { id: 'stages-warm', title: 'warm GET, no compute', subject: 'gateway', shape: shape() },
      {
        id: 'compute-get',
        title: 'compute route, GET',
        subject: 'gateway',
        shape: shape({ paths: ['/api/workbench/jobs'] }),
      },
      {
        id: 'compute-post',
        title: 'compute route, submission of a job',
        subject: 'gateway',
        shape: shape({ method: 'POST', paths: ['/api/tes/v1/tasks'], body: submission, headers: json }),
      },
      {
        id: 'cold',
        title: 'every request another token',
        subject: 'gateway',
        shape: shape({ tokens: users(-1) }),
      },
      {
        id: 'mixed',
        title: '1,000 users × 200 paths by Zipf’s law',
        subject: 'gateway',
        shape: shape({ tokens: users(1000), paths: manyPaths, draw: 'zipf' }),
      },
    ],
  },
  {
    id: 'refusals',
    title: 'Refusals',
    note: 'What a flood of bad requests costs: each is still answered in JSON and audited.',
    cases: [
      {
        id: 'no-token',
        title: 'no token: 401',
        subject: 'gateway',
        shape: shape({ tokens: users(0), expect: 401 }),
      },
      {
        id: 'bad-token',
        title: 'wrong signature: 401',
        subject: 'gateway',
        shape: shape({ tokens: { from: 1, count: 1, spoil: 'AAAA' }, expect: 401 }),
      },
      {
        id: 'denied',
        title: 'denied by policy: 403',
        subject: 'gateway',
        shape: shape({ paths: ['/api/lims/forbidden'], expect: 403 }),
      },
    ],
  },
  {
    id: 'bodies',
    title: 'Bodies',
    note: 'Streamed both ways, nothing is buffered. 64 KB on 32 connections, 10 MB on 8.',
    cases: [
      { id: 'up-64k', title: 'gateway, 64 KB up', subject: 'gateway', shape: upload(65_536, 32) },
      {
        id: 'bare-up-64k',
        title: 'bare proxy, 64 KB up',
        subject: 'bareServices',
        shape: plain(upload(65_536, 32)),
      },
      { id: 'down-64k', title: 'gateway, 64 KB down', subject: 'gateway', shape: download(65_536, 32) },
      {
        id: 'bare-down-64k',
        title: 'bare proxy, 64 KB down',
        subject: 'bareServices',
        shape: plain(download(65_536, 32)),
      },
      {
        id: 'up-10m',
        title: 'gateway, 10 MB up',
        subject: 'gateway',
        shape: upload(10_485_760, 8),
        fullOnly: true,
      },
      {
        id: 'bare-up-10m',
        title: 'bare proxy, 10 MB up',
        subject: 'bareServices',
        shape: plain(upload(10_485_760, 8)),
        fullOnly: true,
      },
      {
        id: 'down-10m',
        title: 'gateway, 10 MB down',
        subject: 'gateway',
        shape: download(10_485_760, 8),
        fullOnly: true,
      },
      {
        id: 'bare-down-10m',
        title: 'bare proxy, 10 MB down',
        subject: 'bareServices',
        shape: plain(download(10_485_760, 8)),
        fullOnly: true,
      },
    ],
  },
  {
    id: 'sse',
    title: 'Server-sent events, 200 streams',
    note: 'Each stream gets an event every 10 ms: 20,000 a second are offered. The rate is events delivered, the latency that from service to client.',
    cases: [
      { id: 'sse', title: 'gateway', subject: 'gateway', shape: events },
      { id: 'bare-sse', title: 'bare proxy', subject: 'bareServices', shape: plain(events) },
    ],
  },
  {
    id: 'size',
    title: 'Many routes, many tokens',
    note: 'The same request, and the last of so many routes. Then tokens that are all known: 32,000 of them, drawn at random, ask for /auth/verify, so that nothing but the caller has to be found. A million are not known at once on one core: an identity is good for five minutes at most, and 2,000 to 4,000 are learnt in a second.',
    cases: [
      { id: 'routes-10', title: '10 routes', subject: 'gatewayTenRoutes', shape: shape() },
      { id: 'routes-10000', title: '10,000 routes', subject: 'gatewayManyRoutes', shape: shape() },
      {
        id: 'tokens-10',
        title: '10 tokens',
        subject: 'gatewayFewTokens',
        shape: { ...verify, tokens: users(10) },
      },
      {
        id: 'tokens-100000',
        title: '100,000 tokens',
        subject: 'gatewayManyTokens',
        shape: { ...verify, tokens: users(100_000) },
        fill: 100_000,
        fullOnly: true,
      },
    ],
  },
  {
    id: 'workers',
    title: 'One and two workers, nothing pinned',
    note: 'On two cores load and upstream take half of what a second worker would need: only more cores show its gain.',
    cases: [
      {
        id: 'one-worker',
        title: '1 worker',
        subject: 'gatewayOneWorker',
        shape: shape({ connections: 128 }),
      },
      {
        id: 'two-workers',
        title: '2 workers',
        subject: 'gatewayTwoWorkers',
        shape: shape({ connections: 128 }),
      },
    ],
  },
];
