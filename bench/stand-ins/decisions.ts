import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

/**
 * IAM, policy engine and HPC engine in one lean process: they answer yes to whoever a token names, at a fraction
 * of what asking costs the gateway, so that they are not what is measured. `GET /verify` is what nginx asks for
 * `auth_request`. `PORT` says where it listens.
 */
createServer({ keepAliveTimeout: 300_000 }, (request, response) => {
  let body = '';
  request.setEncoding('latin1');
  request.on('data', (chunk) => {
    body += chunk;
  });
  request.on('end', () => answer(request, response, body));
}).listen({ port: Number(process.env.PORT), host: '127.0.0.1', backlog: 4096 });

function answer(request: IncomingMessage, response: ServerResponse, body: string): void {
  switch (request.url) {
    case '/auth/validate':
      send(response, validate(body));
      break;
    case '/policy/evaluate':
      send(response, policy(body));
      break;
    case '/jobs/evaluate':
    case '/quota/check':
      send(response, '{"allow":true,"reason":"allowed","partition":"cpu"}');
      break;
    case '/verify':
      response.writeHead(request.headers.authorization === undefined ? 401 : 200, { 'content-length': 0 });
      response.end();
      break;
    default:
      response.writeHead(404, { 'content-length': 0 });
      response.end();
  }
}

/** Denies what the scenario "policy says no" asks for. */
function policy(body: string): string {
  return body.includes('/forbidden')
    ? '{"allowed":false,"reason":"denied by rule","policy_source":"RULES","context":{}}'
    : '{"allowed":true,"reason":"all checks passed","policy_source":"ALL_PASSED","context":{}}';
}

function validate(body: string): string {
  const token = String(JSON.parse(body).token);
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  return JSON.stringify({
    valid: true,
    user_id: Number(claims.sub),
    email: claims.email,
    roles: claims.roles,
    permissions: claims.permissions,
    org_id: claims.org_id,
    org_role: [],
    schema_version: 2,
  });
}

function send(response: ServerResponse, body: string): void {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}
