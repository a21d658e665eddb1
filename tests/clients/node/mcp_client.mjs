// The official TypeScript MCP SDKs as a program that the stories run.
//
// The same commands, the same lines and the same exit status as ../python/mcp_client.py:
//   mcp_client.mjs --server s3 --era 2026|2025 [--sdk v1|v2] [--http2] COMMAND
//   COMMAND: list-tools | call NAME JSON | read-resource URI | script STEPS_JSON (or @FILE)
//
// --sdk v2 is @modelcontextprotocol/client (both eras), v1 is @modelcontextprotocol/sdk (2025-11-25 only).
// The default is v2 for 2026 and v1 for 2025. --http2 lets the connection become HTTP/2 by ALPN.
// With SALLYPORT_WIDER_TOKEN in the environment, a challenge for more scopes is met: step_up.mjs.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Agent, Headers, fetch } from 'undici';
import { authorizationServer, person } from './step_up.mjs';

const VERSIONS = { 2026: '2026-07-28', 2025: '2025-11-25' };
const IDENTITY = { name: 'sallyport-stories', version: '0' };

/** Prints a step's line at once: a story may be reading it. */
function say(step, outcome) {
  process.stdout.write(JSON.stringify({ step, ok: !('error' in outcome), ...outcome }) + '\n');
}

/** What the SDK told its caller: the fields that a program can act on. */
function told(failure) {
  const error = { type: failure.constructor.name, message: failure.message };
  for (const field of ['code', 'data', 'requiredScope', 'errorDescription']) {
    if (failure[field] !== undefined) error[field] = failure[field];
  }
  let cause = failure;
  while (cause.cause) cause = cause.cause; // The TLS alert is at the bottom of what fetch wraps.
  if (cause !== failure) error.cause = cause.code ?? cause.message;
  return error;
}

function wrong(message) {
  process.stderr.write(`mcp_client.mjs: ${message}\n`);
  process.exit(2);
}

/** A fetch that presents the workload's certificate; the token goes by `requestInit`. */
function dispatcher(environment, http2) {
  const file = name => (environment[name] ? readFileSync(environment[name]) : undefined);
  return new Agent({
    allowH2: http2,
    connect: { ca: file('SALLYPORT_CA'), cert: file('SALLYPORT_CERT'), key: file('SALLYPORT_KEY') },
  });
}

/**
 * The client and transport of one SDK, for one era, not yet connected. A step's headers stand in `replaced`. `asked` is the
 * person who gives more scopes, if there is one.
 */
async function unconnected(sdk, era, url, agent, replaced, asked) {
  const token = process.env.SALLYPORT_TOKEN;
  const options = {
    fetch: (input, init) => {
      if (new URL(input).origin !== url.origin) return authorizationServer(input, init, process.env.SALLYPORT_WIDER_TOKEN);
      const headers = new Headers(init?.headers);
      for (const [name, value] of replaced) headers.set(name, value);
      return fetch(input, { ...init, headers, dispatcher: agent });
    },
    requestInit: { headers: token && !asked ? { Authorization: `Bearer ${token}` } : {} },
    authProvider: asked,
  };
  if (sdk === 'v1') {
    const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
    const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
    return [new Client(IDENTITY), new StreamableHTTPClientTransport(url, options)];
  }
  const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
  const mode = era === '2026' ? 'auto' : 'legacy';
  return [new Client(IDENTITY, { versionNegotiation: { mode } }), new StreamableHTTPClientTransport(url, options)];
}

/** Carries out one step by the SDK's public interface. */
function carryOut(client, step) {
  switch (step.do) {
    case 'list-tools': return client.listTools();
    case 'call': return client.callTool({ name: step.name, arguments: step.arguments ?? {} });
    case 'read-resource': return client.readResource({ uri: step.uri });
    default: throw new Error(`no such step: ${step.do}`);
  }
}

/** Opens the session and goes through the steps. Says whether it could be opened. */
async function run(url, { sdk, era, http2 }, steps) {
  const agent = dispatcher(process.env, http2);
  const replaced = new Map();
  const { SALLYPORT_TOKEN: token, SALLYPORT_SCOPE: scope, SALLYPORT_WIDER_TOKEN: wider } = process.env;
  const asked = wider ? person(token, scope) : undefined;
  const [client, transport] = await unconnected(sdk, era, url, agent, replaced, asked);
  // SDK v1 tells the transport which version was agreed, and has no other way to ask.
  let spoken;
  const setVersion = transport.setProtocolVersion.bind(transport);
  transport.setProtocolVersion = version => { spoken = version; setVersion(version); };
  try {
    await client.connect(transport);
    spoken = client.getNegotiatedProtocolVersion?.() ?? spoken;
    if (spoken !== VERSIONS[era]) { // A quiet fall-back would test the other era and look like a pass.
      say('connect', { error: { type: 'WrongEra', message: `wanted ${VERSIONS[era]}, the server speaks ${spoken}` } });
      return false;
    }
    say('connect', { result: { protocolVersion: spoken } });
    for (const step of steps) {
      for (const [name, value] of Object.entries(step.headers ?? {})) replaced.set(name, value);
      try {
        say(step.do, { result: await carryOut(client, step).catch(async failure => {
          if (!asked?.asked) throw failure;
          say('step-up', { result: Object.fromEntries(asked.asked.searchParams) });
          await transport.finishAuth('yes'); // As the program does when the browser has come back.
          asked.asked = undefined;
          return carryOut(client, step);
        }) });
      } catch (failure) {
        say(step.do, { error: told(failure) });
      }
      replaced.clear();
    }
    return true;
  } catch (failure) {
    say('connect', { error: told(failure) });
    return false;
  } finally {
    if (transport.sessionId) await transport.terminateSession().catch(() => {});
    await client.close().catch(() => {});
    await agent.destroy();
  }
}

function stepsOf([command, ...rest]) {
  switch (command) {
    case 'list-tools': return [{ do: command }];
    case 'call': return [{ do: command, name: rest[0], arguments: JSON.parse(rest[1] ?? '{}') }];
    case 'read-resource': return [{ do: command, uri: rest[0] }];
    case 'script': return JSON.parse(rest[0].startsWith('@') ? readFileSync(rest[0].slice(1), 'utf8') : rest[0]);
    default: return wrong(`no such command: ${command ?? '(none)'}; see the head of this file`);
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    server: { type: 'string', default: 's3' },
    era: { type: 'string', default: '2026' },
    sdk: { type: 'string' },
    http2: { type: 'boolean', default: false },
  },
});
values.sdk ??= values.era === '2026' ? 'v2' : 'v1';
if (!(values.era in VERSIONS)) wrong('--era is 2026 or 2025');
if (!['v1', 'v2'].includes(values.sdk)) wrong('--sdk is v1 or v2');
if (values.sdk === 'v1' && values.era === '2026') wrong('SDK v1 does not speak 2026-07-28');
if (!process.env.SALLYPORT_URL) wrong('SALLYPORT_URL is not set: source DIR/agent.env first');
const url = new URL(`${process.env.SALLYPORT_URL.replace(/\/$/, '')}/mcp/${values.server}`.replace(/\/$/, ''));
process.exitCode = (await run(url, values, stepsOf(positionals))) ? 0 : 1;
