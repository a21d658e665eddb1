// What the JavaScript agent heard, and whether it may hear it: in front of the SDK, for HTTP and gRPC alike.
// The lines are those of ../python/recording.py.

import { appendFileSync, readFileSync } from 'node:fs';
import { IncomingMessage } from 'node:http';
import * as grpc from '@grpc/grpc-js';
import * as jose from 'jose';

const SECRET = new Set(['authorization', 'cookie', 'proxy-authorization', 'x-api-key']);
const IDS = ['messageId', 'taskId', 'contextId', 'tenant', 'id', 'name'];

/** Appends one JSON line for each request to a file. */
export function recorder(path) {
  return line => path && appendFileSync(path, JSON.stringify(line) + '\n');
}

function shown(headers) {
  return headers.map(([name, value]) => [name, SECRET.has(name.toLowerCase()) ? `(${value.length} characters)` : value]);
}

/** The identifiers that a body names, in its message, its params or at its top. */
function ids(body) {
  const found = {};
  const params = body?.params && typeof body.params === 'object' ? body.params : body;
  for (const place of [params, params?.message ?? params?.request]) {
    for (const name of IDS) if (typeof place?.[name] === 'string' && place[name]) found[name] = place[name];
  }
  return found;
}

/** Why a request may not be heard, or null. */
async function refusal(options, authorization) {
  if (!options.audience) return null;
  const [, token] = /^bearer (.+)$/i.exec(authorization ?? '') ?? [];
  if (!token) return 'no bearer token';
  try {
    if (options.jwks) {
      const keys = jose.createLocalJWKSet(JSON.parse(readFileSync(options.jwks, 'utf8')));
      await jose.jwtVerify(token, keys, { audience: options.audience });
    } else {
      const claims = jose.decodeJwt(token);
      if (![claims.aud].flat().includes(options.audience)) return `the audience is ${JSON.stringify(claims.aud)}`;
      if (claims.exp !== undefined && claims.exp * 1000 < Date.now()) return 'the token has expired';
    }
  } catch (failure) {
    return `${failure.constructor.name}: ${failure.message}`;
  }
  return null;
}

/** The HTTP server's listener in front of the SDK's: reads the body, records it, checks the token, then lets it be heard. */
export function watched(app, write, options) {
  return async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    let body = null;
    try {
      body = bytes.length ? JSON.parse(bytes) : null;
    } catch {
      body = bytes.toString();
    }
    const headers = [];
    for (let at = 0; at < request.rawHeaders.length; at += 2) {
      headers.push([request.rawHeaders[at], request.rawHeaders[at + 1]]);
    }
    const names = request.socket.getPeerCertificate?.()?.subjectaltname;
    const rpc = body !== null && typeof body === 'object' && 'jsonrpc' in body;
    const isCard = request.url.startsWith('/.well-known/'); // That is for everybody whom TLS lets in.
    const refused = isCard ? null : await refusal(options, request.headers.authorization);
    write({
      binding: rpc ? 'JSONRPC' : 'HTTP', method: rpc ? body.method ?? null : request.method, path: request.url,
      headers: shown(headers), body, ids: ids(body), peer: spoken(names), refused,
    });
    if (refused !== null) {
      response.writeHead(401, { 'WWW-Authenticate': 'Bearer', 'Content-Type': 'text/plain' });
      return response.end(refused);
    }
    response.on('close', () => {
      if (!response.writableFinished) process.stdout.write(JSON.stringify({ gone: request.url }) + '\n');
    });
    const again = new IncomingMessage(request.socket); // The body is read; this one has it still before it.
    for (const name of ['httpVersion', 'httpVersionMajor', 'httpVersionMinor', 'method', 'url', 'rawHeaders']) {
      again[name] = request[name];
    }
    again.headers = request.headers;
    again.complete = true; // Or the socket would be closed with it.
    again.push(bytes);
    again.push(null);
    app(again, response);
  };
}

/** The names in a client's certificate, without their kind. */
function spoken(names) {
  return names ? names.split(', ').map(name => name.replace(/^[A-Za-z ]+:(?=\S)/, '').replace(/^"(.*)"$/, '$1')) : null;
}

/** The same for gRPC: a service whose every method records its request first. */
export function watchedService(definition, implementation, json, write, options) {
  const heard = async (name, call) => {
    const metadata = Object.entries(call.metadata.getMap()).map(([key, value]) => [key, Buffer.isBuffer(value) ? value.toString('hex') : value]);
    const body = json(name, call.request);
    const refused = await refusal(options, call.metadata.get('authorization')[0]);
    const path = definition[name].path;
    const names = call.getAuthContext?.()?.sslPeerCertificate?.subjectaltname;
    write({
      binding: 'GRPC', method: path.split('/').at(-1), path, headers: shown(metadata), body, ids: ids(body),
      peer: spoken(names), refused,
    });
    return refused;
  };
  const wrapped = {};
  for (const [name, method] of Object.entries(definition)) {
    const inner = implementation[name].bind(implementation);
    wrapped[name] = method.responseStream
      ? async call => {
          call.on('cancelled', () => process.stdout.write(JSON.stringify({ gone: method.path }) + '\n'));
          const refused = await heard(name, call);
          if (refused) return call.emit('error', { code: grpc.status.UNAUTHENTICATED, details: refused });
          return inner(call);
        }
      : async (call, done) => {
          const refused = await heard(name, call);
          if (refused) return done({ code: grpc.status.UNAUTHENTICATED, details: refused });
          return inner(call, done);
        };
  }
  return wrapped;
}
