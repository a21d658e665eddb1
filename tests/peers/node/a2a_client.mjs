// The official JavaScript A2A SDK as a program that the stories run.
//
// The same command line, lines and exit status as ../python/a2a_client.py. An error has the SDK's class in "type", its
// JSON-RPC code in "code" where the SDK keeps one, and what the binding told in "status" and "data".

import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { checkServerIdentity } from 'node:tls';
import { parseArgs } from 'node:util';
import * as types from '@a2a-js/sdk';
import { AgentCard, SendMessageRequest, verifyAgentCardSignature } from '@a2a-js/sdk';
import { ClientFactory, DefaultAgentCardResolver, JsonRpcTransportFactory, RestTransportFactory, ServiceParameters, withA2AExtensions } from '@a2a-js/sdk/client';
import { GrpcTransportFactory } from '@a2a-js/sdk/client/grpc';
import { A2A_ERROR_CODE } from '@a2a-js/sdk/errors';
import * as grpc from '@grpc/grpc-js';
import * as jose from 'jose';
import { Agent, Headers, fetch } from 'undici';

const BINDINGS = { jsonrpc: 'JSONRPC', rest: 'HTTP+JSON', grpc: 'GRPC' };
const text = { type: 'string' }, many = { type: 'string', multiple: true, default: [] }, flag = { type: 'boolean', default: false };
const FLAGS = {
  url: { ...text, default: '' }, 'card-path': text, 'card-file': text, direct: flag, binding: { ...text, default: 'jsonrpc' },
  version: { ...text, default: '1.0' }, cert: text, key: text, ca: text, authority: text, token: text, header: many,
  tenant: text, extension: many, jwks: text, task: text, context: text, 'message-id': text, reference: many, metadata: text,
  'return-immediately': flag, history: text, push: text, 'stop-after': text, config: text, status: text,
  'page-size': text, 'page-token': text, artifacts: flag,
};

/** Prints an event's line at once: a story may be reading it. */
function say(event, value, more = {}) {
  process.stdout.write(JSON.stringify({ event, ...(value === undefined ? {} : { value }), ...more }) + '\n');
}

/** What the SDK told its caller: the fields that a program can act on. */
function told(failure) {
  const error = { type: failure.name && failure.name !== 'Error' ? failure.name : failure.constructor.name, message: failure.message };
  const code = failure.envelopeCode ?? A2A_ERROR_CODE[failure.reason];
  if (code !== undefined) error.code = code;
  for (const field of ['reason', 'data', 'metadata', 'statusCode', 'status', 'code', 'details']) {
    if (failure[field] !== undefined && error[field] === undefined) error[field === 'statusCode' ? 'status' : field] = failure[field];
  }
  let cause = failure;
  while (cause.cause) cause = cause.cause; // The TLS alert is at the bottom of what fetch wraps.
  if (cause !== failure) error.cause = `${cause.code ?? cause.constructor.name}: ${cause.message}`.slice(0, 500);
  return error;
}

const file = path => (path ? readFileSync(path) : undefined);

/** The connections of a call; they end with it. */
const connections = [];

/** A fetch that presents the workload's certificate, the person's token and the headers of the command line. */
function fetcher(options, extra = {}) {
  const dispatcher = new Agent({ connect: { ca: file(options.ca), cert: file(options.cert), key: file(options.key) } });
  connections.push(dispatcher);
  return (input, init) => {
    const headers = new Headers(init?.headers);
    for (const [name, value] of Object.entries({ ...extra, ...added(options) })) headers.set(name, value);
    return fetch(input, { ...init, headers, dispatcher });
  };
}

function added(options) {
  const headers = Object.fromEntries(options.header.map(header => [header.slice(0, header.indexOf('=')), header.slice(header.indexOf('=') + 1)]));
  if (options.token) headers.authorization = `Bearer ${options.token}`;
  return headers;
}

function verifier(options) {
  const { keys } = JSON.parse(readFileSync(options.jwks, 'utf8'));
  return verifyAgentCardSignature(async kid => {
    const key = keys.find(one => one.kid === kid);
    if (!key) throw new Error(`no key ${kid}`);
    return jose.importJWK(key, key.alg);
  });
}

/** The card as the SDK reads it, and as it came. */
async function cardOf(options) {
  if (options.direct) {
    const place = { url: options.url, protocolBinding: BINDINGS[options.binding], protocolVersion: options.version, tenant: options.tenant ?? '' };
    return AgentCard.fromJSON({ name: 'direct', supportedInterfaces: [place], capabilities: { streaming: true, pushNotifications: true, extendedAgentCard: true } });
  }
  const legacyCompat = { enabled: true };
  if (options['card-file']) {
    return new DefaultAgentCardResolver({ legacyCompat }).normalizeAgentCard(JSON.parse(readFileSync(options['card-file'], 'utf8')));
  }
  const fetchImpl = fetcher(options, options.version === '1.0' ? { 'A2A-Version': '1.0' } : {});
  return new DefaultAgentCardResolver({ fetchImpl, legacyCompat }).resolve(options.url, options['card-path']);
}

async function client(options, card) {
  const wanted = BINDINGS[options.binding];
  const interfaces = card.supportedInterfaces.map(one => ({ ...one })).filter(
    one => one.protocolBinding === wanted && one.protocolVersion.startsWith(options.version));
  if (options.binding === 'grpc') {
    // The card gives a URL, as A2A wants; the SDK hands it to gRPC as it is, which takes no scheme and no path.
    for (const one of interfaces) one.url = one.url.replace(/^[a-z]+:\/\//, '').replace(/\/.*$/, '');
  }
  const legacyCompat = { enabled: true }, fetchImpl = fetcher(options);
  const credentials = options.ca
    ? grpc.credentials.createSsl(file(options.ca), file(options.key) ?? null, file(options.cert) ?? null, {
        ...(options.authority ? { checkServerIdentity: (_, certificate) => checkServerIdentity(options.authority, certificate) } : {}),
      })
    : grpc.credentials.createInsecure();
  return new ClientFactory({
    transports: [
      new JsonRpcTransportFactory({ fetchImpl, legacyCompat }), new RestTransportFactory({ fetchImpl, legacyCompat }),
      new GrpcTransportFactory({ grpcChannelCredentials: credentials, grpcCallOptions: {}, legacyCompat }),
    ],
    preferredTransports: [wanted],
  }).createFromAgentCard({ ...card, supportedInterfaces: interfaces });
}

/** The request that `send` and `stream` make. */
function message(options, parts) {
  return SendMessageRequest.fromJSON({
    tenant: options.tenant ?? '',
    message: {
      messageId: options['message-id'] ?? crypto.randomUUID(), role: 'ROLE_USER', taskId: options.task, contextId: options.context,
      parts: parts.map(part => (part.startsWith('@') ? JSON.parse(part.slice(1)) : { text: part })),
      referenceTaskIds: options.reference, extensions: options.extension,
      ...(options.metadata ? { metadata: JSON.parse(options.metadata) } : {}),
    },
    configuration: {
      returnImmediately: options['return-immediately'], historyLength: options.history,
      ...(options.push ? { taskPushNotificationConfig: { url: options.push, token: 'opaque' } } : {}),
    },
  });
}

/** Prints a stream's events; hangs up after `limit` of them. */
async function toldEvents(stream, limit) {
  let count = 0;
  for await (const event of stream) {
    const [kind, value] = Object.entries(types.StreamResponse.toJSON(event))[0];
    say(kind, value);
    if (++count === Number(limit)) return say('hung-up');
  }
}

/** One call by the SDK's public interface. */
async function call(options, [command, ...words]) {
  const card = await cardOf(options);
  if (command === 'card' || command === 'verify-card') {
    if (command === 'verify-card') await verifier(options)(card);
    return say('card', AgentCard.toJSON(card), { verified: command === 'verify-card' });
  }
  const agent = await client(options, card);
  const serviceParameters = {
    ...ServiceParameters.create(...(options.extension.length ? [withA2AExtensions(...options.extension)] : [])),
    ...(options.binding === 'grpc' ? added(options) : {}),
  };
  const tenant = options.tenant ?? '', id = words[0], more = { serviceParameters };
  switch (command) {
    case 'send': {
      const result = await agent.sendMessage(message(options, words), more);
      return 'messageId' in result ? say('message', types.Message.toJSON(result)) : say('task', types.Task.toJSON(result));
    }
    case 'stream':
      return toldEvents(agent.sendMessageStream(message(options, words), more), options['stop-after']);
    case 'subscribe':
      return toldEvents(agent.resubscribeTask({ tenant, id }, more), options['stop-after']);
    case 'get': {
      const historyLength = options.history === undefined ? undefined : Number(options.history);
      return say('task', types.Task.toJSON(await agent.getTask({ tenant, id, historyLength }, more)));
    }
    case 'list': {
      const request = types.ListTasksRequest.fromJSON({
        tenant, contextId: options.context, status: options.status, pageSize: options['page-size'],
        pageToken: options['page-token'], includeArtifacts: options.artifacts || undefined,
      });
      if (options.status === undefined) request.status = 0;
      return say('tasks', types.ListTasksResponse.toJSON(await agent.listTasks(request, more)));
    }
    case 'cancel':
      return say('task', types.Task.toJSON(await agent.cancelTask({ tenant, id, metadata: undefined }, more)));
    case 'push-set': {
      const config = types.TaskPushNotificationConfig.fromJSON({
        tenant, taskId: id, id: options.config, url: words[1], token: 'opaque', authentication: { scheme: 'Bearer', credentials: 'secret' },
      });
      return say('config', types.TaskPushNotificationConfig.toJSON(await agent.createTaskPushNotificationConfig(config, more)));
    }
    case 'push-get': {
      const request = { tenant, taskId: id, id: options.config };
      return say('config', types.TaskPushNotificationConfig.toJSON(await agent.getTaskPushNotificationConfig(request, more)));
    }
    case 'push-list': {
      const request = { tenant, taskId: id, pageSize: 0, pageToken: '' };
      return say('configs', types.ListTaskPushNotificationConfigsResponse.toJSON(await agent.listTaskPushNotificationConfig(request, more)));
    }
    case 'push-delete':
      await agent.deleteTaskPushNotificationConfig({ tenant, taskId: id, id: options.config }, more);
      return say('deleted');
    case 'extended-card': {
      const found = await agent.getAgentCard(more, options.jwks ? verifier(options) : undefined);
      return say('card', AgentCard.toJSON(found), { verified: Boolean(options.jwks) });
    }
    default:
      throw new TypeError(`no such command: ${command}`);
  }
}

async function once(options, words) {
  try {
    await call(options, words);
    return true;
  } catch (failure) {
    say('error', undefined, told(failure)); // Whatever the program sees is the answer.
    return false;
  } finally {
    await Promise.all(connections.splice(0).map(one => one.destroy()));
  }
}

function wrong(why) {
  process.stderr.write(`a2a_client.mjs: ${why}\n`);
  process.exit(2);
}

function read(argv) {
  try {
    return parseArgs({ args: argv, options: FLAGS, allowPositionals: true });
  } catch (failure) {
    return wrong(failure.message);
  }
}

console.debug = () => {};
console.warn = () => {};
const argv = process.argv.slice(2);
const { values, positionals } = read(argv);
if (!values.url && !values['card-file']) wrong('--url or --card-file is needed');
if (!positionals.length) wrong('a command is needed');
if (positionals[0] === 'verify-card' && !values.jwks) wrong('verify-card needs --jwks');
let ok = true;
if (positionals[0] === 'session') {
  const before = argv.filter(word => word !== 'session');
  for await (const line of createInterface({ input: process.stdin })) {
    const step = read([...before, ...JSON.parse(line)]);
    say('end', undefined, { ok: await once(step.values, step.positionals) });
  }
} else {
  ok = await once(values, positionals);
}
process.exit(ok ? 0 : 1);
