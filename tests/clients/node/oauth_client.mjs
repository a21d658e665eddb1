// The official TypeScript MCP SDKs, from nothing but the gateway's URL to a tool's answer: they find out whose token they
// need, register, send a person to sign in, and call. The person is a function that fills in the form.
//
//   oauth_client.mjs --server s3 [--sdk v1|v2]
//
// Prints one JSON line a step, as mcp_client.mjs does: connect, list-tools, call, and after the access token was spoilt
// list-tools once more. The last one, `heard`, lists what was asked of whom. The environment is that of mcp_client.mjs
// without SALLYPORT_TOKEN, and SALLYPORT_USER and SALLYPORT_PASSWORD.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Agent, fetch } from 'undici';

const REDIRECT = 'http://127.0.0.1:49152/callback';
const { SALLYPORT_URL, SALLYPORT_USER, SALLYPORT_PASSWORD } = process.env;

function say(step, outcome) {
  process.stdout.write(JSON.stringify({ step, ok: !('error' in outcome), ...outcome }) + '\n');
}

const read = name => readFileSync(process.env[name]);
const program = new Agent({ connect: { ca: read('SALLYPORT_CA'), cert: read('SALLYPORT_CERT'), key: read('SALLYPORT_KEY') } });
const browser = new Agent({ connect: { ca: read('SALLYPORT_CA') } }); // A person's browser has no SVID.

/** What a person does: opens the page, fills in the form, and is sent back. */
async function signIn(url) {
  const page = await fetch(url, { dispatcher: browser });
  const text = (await page.text()).replaceAll('&amp;', '&');
  const [, action] = text.match(/<form method="post" action="([^"]+)">/);
  const [, csrf] = text.match(/name="csrf" value="([^"]+)"/);
  const [, agent] = text.match(/<option>([^<]+)<\/option>/);
  const answer = await fetch(new URL(action, url), {
    dispatcher: browser,
    method: 'POST',
    redirect: 'manual',
    headers: { cookie: page.headers.get('set-cookie').split(';')[0], origin: new URL(url).origin },
    body: new URLSearchParams({ csrf, agent, user: SALLYPORT_USER, password: SALLYPORT_PASSWORD, answer: 'allow' }),
  });
  if (answer.status !== 303) throw new Error(`the form was answered with ${answer.status}`);
  return new URL(answer.headers.get('location'));
}

/** Keeps what the SDK wants kept, in memory. */
class Provider {
  redirectUrl = REDIRECT;
  clientMetadata = {
    client_name: 'stories',
    redirect_uris: [REDIRECT],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  };
  #kept = {};
  state = () => (this.#kept.state ??= crypto.randomUUID());
  clientInformation = () => this.#kept.client;
  saveClientInformation = client => { this.#kept.client = client; };
  tokens = () => this.#kept.tokens;
  saveTokens = tokens => { this.#kept.tokens = tokens; };
  codeVerifier = () => this.#kept.verifier;
  saveCodeVerifier = verifier => { this.#kept.verifier = verifier; };
  discoveryState = () => this.#kept.discovery;
  saveDiscoveryState = discovery => { this.#kept.discovery = discovery; };
  redirectToAuthorization = async url => { this.answer = await signIn(url); };
  /** As if the access token's time were over: the gateway will not take it. */
  spoil() { this.#kept.tokens = { ...this.#kept.tokens, access_token: 'spoilt' }; }
}

const { values } = parseArgs({ options: { server: { type: 'string', default: 's3' }, sdk: { type: 'string', default: 'v2' } } });
const heard = [];
const options = {
  authProvider: new Provider(),
  fetch: async (input, init) => {
    const answer = await fetch(input, { ...init, dispatcher: program });
    const form = new URLSearchParams(typeof init?.body === 'string' || init?.body instanceof URLSearchParams ? init.body : '');
    const { origin, pathname } = new URL(input);
    heard.push({ gateway: origin === SALLYPORT_URL, path: pathname, status: answer.status, grant: form.get('grant_type') ?? undefined });
    return answer;
  },
};
const v1 = values.sdk === 'v1';
const { Client } = await import(v1 ? '@modelcontextprotocol/sdk/client/index.js' : '@modelcontextprotocol/client');
const { StreamableHTTPClientTransport } = await import(
  v1 ? '@modelcontextprotocol/sdk/client/streamableHttp.js' : '@modelcontextprotocol/client');
const url = new URL(`${SALLYPORT_URL}/mcp/${values.server}`);
const provider = options.authProvider;
let client;
let at = 'sign-in';
try {
  const first = new StreamableHTTPClientTransport(url, options);
  await new Client({ name: 'stories', version: '0' }).connect(first).then(
    () => { throw new Error('it let us in without a token'); },
    failure => { if (!provider.answer) throw failure; }, // The SDK has sent the person away, and waits for the answer.
  );
  const answered = provider.answer.searchParams;
  if (answered.get('state') !== provider.state()) throw new Error('the answer is to another question');
  await (v1 ? first.finishAuth(answered.get('code')) : first.finishAuth(answered));
  say(at, { result: { iss: answered.get('iss'), scope: provider.tokens().scope } });

  at = 'connect';
  client = new Client({ name: 'stories', version: '0' }, v1 ? {} : { versionNegotiation: { mode: 'auto' } });
  await client.connect(new StreamableHTTPClientTransport(url, options));
  say(at, { result: {} });
  at = 'list-tools';
  say(at, { result: await client.listTools() });
  at = 'call';
  say(at, { result: await client.callTool({ name: 'get_object', arguments: { bucket: 'demo', key: 'public/hello.txt' } }) });
  const before = provider.tokens().refresh_token;
  provider.spoil();
  at = 'refreshed';
  const again = await client.listTools();
  say(at, { result: { ...again, rotated: provider.tokens().refresh_token !== before } });
} catch (failure) {
  say(at, { error: { type: failure.constructor.name, message: failure.message, cause: String(failure.cause ?? '') } });
  process.exitCode = 1;
} finally {
  say('heard', { result: heard });
  await client?.close().catch(() => {});
  await Promise.all([program.destroy(), browser.destroy()]);
}
