// An A2A agent built with the official JavaScript SDK, as an upstream of the stories.
//
// The same flags, words, places and lines as ../python/a2a_agent.py: JSON-RPC at /rpc, HTTP+JSON at /, gRPC with --grpc
// on a port of its own, 0.3 with --legacy; the first word of a message says what the agent does.

import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { parseArgs } from 'node:util';
import { AgentCard, Message, Task, TaskStatusUpdateEvent, TaskArtifactUpdateEvent, generateAgentCardSignature } from '@a2a-js/sdk';
import * as types from '@a2a-js/sdk';
import { AgentEvent, DefaultRequestHandler, InMemoryPushNotificationStore, InMemoryTaskStore, DefaultExecutionEventBusManager } from '@a2a-js/sdk/server';
import { UserBuilder, agentCardHandler, jsonRpcHandler, restHandler } from '@a2a-js/sdk/server/express';
import { A2AService, grpcService } from '@a2a-js/sdk/server/grpc';
import { createLegacyAwarePushNotificationSender } from '@a2a-js/sdk/compat/v0_3/server';
import { LegacyA2AService, legacyGrpcService } from '@a2a-js/sdk/compat/v0_3/server/grpc';
import * as grpc from '@grpc/grpc-js';
import express from 'express';
import * as jose from 'jose';
import * as undici from 'undici';
import { recorder, watched, watchedService } from './recording.mjs';

/** Does what the first word of the message says. */
class Echo {
  turns = new Map();
  held = new Map();

  async execute(context, bus) {
    const { taskId, contextId, userMessage } = context;
    const said = userMessage.parts.map(part => (part.content?.$case === 'text' ? part.content.value : '')).join('\n');
    const [verb, ...words] = said.split(' ');
    let rest = words.join(' ');
    const turn = (this.turns.get(contextId) ?? 0) + 1;
    this.turns.set(contextId, turn);
    if (verb === 'message' && !context.task) {
      bus.publish(AgentEvent.message(Message.fromJSON({
        messageId: `reply-${userMessage.messageId}`, role: 'ROLE_AGENT', contextId, parts: [{ text: rest }],
      })));
      return;
    }
    const status = (state, text) => bus.publish(AgentEvent.statusUpdate(TaskStatusUpdateEvent.fromJSON({
      taskId, contextId,
      status: {
        state, timestamp: new Date().toISOString(),
        ...(text ? { message: { messageId: crypto.randomUUID(), role: 'ROLE_AGENT', taskId, contextId, parts: [{ text }] } } : {}),
      },
    })));
    const artifact = (parts, more = {}) => bus.publish(AgentEvent.artifactUpdate(TaskArtifactUpdateEvent.fromJSON({
      taskId, contextId, artifact: { artifactId: more.id ?? 'answer', name: more.name, metadata: more.metadata, parts },
      append: more.append ?? false, lastChunk: more.last ?? true,
    })));
    bus.publish(AgentEvent.task(context.task ?? Task.fromJSON({
      id: taskId, contextId, status: { state: 'TASK_STATE_SUBMITTED' }, history: [Message.toJSON(userMessage)],
    })));
    status('TASK_STATE_WORKING');
    switch (verb) {
      case 'hold':
        await new Promise(resolve => this.held.set(taskId, resolve));
        return;
      case 'ask':
        return status('TASK_STATE_INPUT_REQUIRED', 'which one?');
      case 'auth':
        return status('TASK_STATE_AUTH_REQUIRED', 'sign in first');
      case 'fail':
        return status('TASK_STATE_FAILED', 'it failed');
      case 'reject':
        return status('TASK_STATE_REJECTED', 'not this');
      case 'turn':
        artifact([{ text: `turn ${turn}` }]);
        break;
      case 'parts':
        artifact([
          { text: 'text ✓', metadata: { part: 'first' } },
          { raw: Buffer.from('\x00\x01raw').toString('base64'), filename: 'raw.bin', mediaType: 'application/octet-stream' },
          { url: 'https://files.test/a%20b.txt', filename: 'a b.txt', mediaType: 'text/plain' },
          { data: { n: 1, list: [true, null, 'x'], deep: { f: 1.5 } }, mediaType: 'application/json' },
        ], { id: 'parts', name: 'one of each', metadata: { of: 'all' } });
        break;
      case 'chunks':
      case 'pace': {
        const [count, ...after] = rest.split(' ');
        const pause = verb === 'pace' ? Number(after.shift()) : 0;
        for (let index = 0; index < Number(count); index++) {
          if (pause) await new Promise(resolve => setTimeout(resolve, pause));
          if (this.held.get(taskId) === null) return;
          artifact([{ text: `${index} ${after.join(' ')}` }], { append: index > 0, last: index + 1 === Number(count) });
        }
        break;
      }
      default:
        artifact([{ text: verb === 'echo' ? rest : said }]);
    }
    status('TASK_STATE_COMPLETED');
  }

  async cancelTask(taskId, bus) {
    const release = this.held.get(taskId);
    this.held.set(taskId, null);
    bus.publish(AgentEvent.statusUpdate(TaskStatusUpdateEvent.fromJSON({
      taskId, contextId: '', status: { state: 'TASK_STATE_CANCELED', timestamp: new Date().toISOString() },
    })));
    release?.();
  }
}

const FLAGS = {
  host: { type: 'string', default: '127.0.0.1' }, port: { type: 'string', default: '0' },
  grpc: { type: 'boolean', default: false }, 'grpc-port': { type: 'string', default: '0' },
  legacy: { type: 'boolean', default: false }, cert: { type: 'string' }, key: { type: 'string' },
  'client-ca': { type: 'string' }, audience: { type: 'string' }, jwks: { type: 'string' }, record: { type: 'string' },
  name: { type: 'string', default: 'echo' }, tenant: { type: 'string', default: '' }, 'public-url': { type: 'string' },
  card: { type: 'string' }, 'sign-key': { type: 'string', multiple: true, default: [] }, jku: { type: 'string' },
  'until-stdin-closes': { type: 'boolean', default: false },
};

const file = path => (path ? readFileSync(path) : undefined);

/** A card, signed with each key that there is. */
async function card(options, url, grpcAt, extended) {
  const interfaces = [];
  for (const protocolVersion of options.legacy ? ['1.0', '0.3'] : ['1.0']) {
    const places = [['JSONRPC', `${url}/rpc`], ['HTTP+JSON', url], ...(grpcAt ? [['GRPC', grpcAt]] : [])];
    for (const [protocolBinding, place] of places) {
      const tenant = protocolVersion === '1.0' ? options.tenant : '';
      interfaces.push({ url: place, protocolBinding, protocolVersion, ...(tenant ? { tenant } : {}) });
    }
  }
  const skills = [{ id: 'echo', name: 'Echo', description: 'Says what it is told.', tags: ['demo'] }];
  if (extended) skills.push({ id: 'hold', name: 'Hold', description: 'Works until it is cancelled.', tags: ['private'] });
  let described = AgentCard.fromJSON({
    name: options.name, description: 'An agent for tests: the first word of a message says what it does.',
    supportedInterfaces: interfaces, version: '1.0.0',
    capabilities: { streaming: true, pushNotifications: true, extendedAgentCard: true },
    defaultInputModes: ['text/plain'], defaultOutputModes: ['text/plain'], skills,
    ...(options.card ? JSON.parse(readFileSync(options.card, 'utf8')) : {}),
  });
  for (const path of options['sign-key']) {
    const jwk = JSON.parse(readFileSync(path, 'utf8'));
    const header = { alg: jwk.alg, kid: jwk.kid, typ: 'JOSE', ...(options.jku ? { jku: options.jku } : {}) };
    described = await generateAgentCardSignature(await jose.importJWK(jwk, jwk.alg), header)(described);
  }
  return described;
}

/** The JSON of a 1.0 request in gRPC; a 0.3 one as the SDK holds it. */
const REQUESTS = {
  sendMessage: 'SendMessageRequest', sendStreamingMessage: 'SendMessageRequest', getTask: 'GetTaskRequest', listTasks: 'ListTasksRequest',
  cancelTask: 'CancelTaskRequest', subscribeToTask: 'SubscribeToTaskRequest',
  createTaskPushNotificationConfig: 'TaskPushNotificationConfig', getTaskPushNotificationConfig: 'GetTaskPushNotificationConfigRequest',
  listTaskPushNotificationConfigs: 'ListTaskPushNotificationConfigsRequest',
  deleteTaskPushNotificationConfig: 'DeleteTaskPushNotificationConfigRequest', getExtendedAgentCard: 'GetExtendedAgentCardRequest',
};

async function serve(options) {
  const write = recorder(options.record);
  const tls = {
    cert: file(options.cert), key: file(options.key), ca: file(options['client-ca']),
    requestCert: Boolean(options['client-ca']), rejectUnauthorized: Boolean(options['client-ca']),
  };
  if (options.cert && options['client-ca']) { // The SDK posts events with the global fetch.
    const dispatcher = new undici.Agent({ connect: { cert: tls.cert, key: tls.key, ca: tls.ca } });
    globalThis.fetch = (input, init) => undici.fetch(input, { ...init, dispatcher });
  }
  // The ports first: the card names them, and the SDK wants the card.
  let listener;
  const heard = (request, response) => listener(request, response);
  const server = options.cert ? https.createServer(tls, heard) : http.createServer(heard);
  await new Promise(resolve => server.listen(Number(options.port), options.host, resolve));
  const url = options['public-url'] ?? `${options.cert ? 'https' : 'http'}://${options.host}:${server.address().port}`;
  let grpcAt = null;
  const rpc = new grpc.Server();
  if (options.grpc) {
    const credentials = options.cert
      ? grpc.ServerCredentials.createSsl(tls.ca ?? null, [{ private_key: tls.key, cert_chain: tls.cert }], tls.requestCert)
      : grpc.ServerCredentials.createInsecure();
    const port = await new Promise((resolve, reject) => rpc.bindAsync(
      `${options.host}:${options['grpc-port']}`, credentials, (failure, bound) => (failure ? reject(failure) : resolve(bound))));
    grpcAt = `${options.host}:${port}`;
  }

  const pushConfigs = new InMemoryPushNotificationStore();
  const extended = await card(options, url, grpcAt, true);
  const handler = new DefaultRequestHandler(
    await card(options, url, grpcAt, false), new InMemoryTaskStore(), new Echo(), new DefaultExecutionEventBusManager(),
    pushConfigs, createLegacyAwarePushNotificationSender(pushConfigs), async () => extended);
  const shared = { requestHandler: handler, userBuilder: UserBuilder.noAuthentication, legacyCompat: { enabled: options.legacy } };
  const app = express();
  app.disable('x-powered-by');
  app.use('/.well-known/agent-card.json', agentCardHandler({
    agentCardProvider: handler, cache: { maxAge: 60 }, legacyCompat: shared.legacyCompat,
  }));
  app.use('/rpc', jsonRpcHandler(shared));
  app.use('/', restHandler(shared));
  listener = watched(app, write, options);
  const json = (name, request) => types[REQUESTS[name]]?.toJSON(request) ?? request;
  rpc.addService(A2AService, watchedService(A2AService, grpcService(shared), json, write, options));
  if (options.legacy) {
    const asHeld = (_, request) => request;
    rpc.addService(LegacyA2AService, watchedService(LegacyA2AService, legacyGrpcService(shared), asHeld, write, options));
  }
  process.stdout.write(JSON.stringify({ ready: true, url, grpc: grpcAt, card: `${url}/.well-known/agent-card.json` }) + '\n');

  const end = () => process.exit(0);
  process.on('SIGTERM', end);
  if (options['until-stdin-closes']) process.stdin.on('end', end).resume();
}

console.debug = console.warn = console.error = () => {}; // What a test looks at is standard output.
await serve(parseArgs({ options: FLAGS }).values);
