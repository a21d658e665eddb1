// oidc-provider as a token service that performs RFC 8693 exchanges and names the actor, for one story.
// usage: node token_service.mjs SETTINGS.json
// SETTINGS: {port, cert, key, bundle, audience, scopes, accounts: {NAME: [scope...]}, agent: {id, secret},
//   gateway: {id, secret, jwks, uri}, actors: {issuer, jwks}}; prints "ready" when it serves. Its clients are the agent, and
// the gateway three times: <id>-secret, <id>-key and <id>-svid, after the ways in which it proves itself.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import * as jose from 'jose';
import { Provider, errors } from 'oidc-provider';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const ACTOR_TYPE = 'sallyport-actor+jwt';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const issuer = `https://127.0.0.1:${settings.port}`;

const { privateKey, publicKey } = await jose.generateKeyPair('ES256', { extractable: true });
const named = { alg: 'ES256', use: 'sig', kid: 'tokens' };
const ownKeys = jose.createLocalJWKSet({ keys: [{ ...(await jose.exportJWK(publicKey)), ...named }] });
const actorKeys = jose.createLocalJWKSet(settings.actors.jwks);

const client = (id, more) => ({
  client_id: id,
  grant_types: ['client_credentials', EXCHANGE],
  redirect_uris: [],
  response_types: [],
  ...more,
});
const target = (audience) => ({
  scope: settings.scopes.join(' '),
  audience,
  accessTokenTTL: 300,
  accessTokenFormat: 'jwt',
  jwt: { sign: { alg: 'ES256' } },
});

const provider = new Provider(issuer, {
  jwks: { keys: [{ ...(await jose.exportJWK(privateKey)), ...named }] },
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  clients: [
    client(settings.agent.id, { client_secret: settings.agent.secret }),
    client(`${settings.gateway.id}-secret`, { client_secret: settings.gateway.secret }),
    client(`${settings.gateway.id}-key`, {
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      jwks: settings.gateway.jwks,
    }),
    client(`${settings.gateway.id}-svid`, {
      token_endpoint_auth_method: 'tls_client_auth',
      tls_client_auth_san_uri: settings.gateway.uri,
    }),
  ],
  clientAuthMethods: ['client_secret_basic', 'private_key_jwt', 'tls_client_auth'],
  scopes: settings.scopes,
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    mTLS: {
      enabled: true,
      tlsClientAuth: true,
      getCertificate: (ctx) => ctx.req.socket.getPeerX509Certificate(),
      certificateAuthorized: (ctx) => ctx.req.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) =>
        property === 'tls_client_auth_san_uri' &&
        ctx.req.socket.getPeerX509Certificate().subjectAltName.split(', ').includes(`URI:${expected}`),
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => settings.audience,
      getResourceServerInfo: (_ctx, resource) => target(resource),
    },
  },
  extraTokenClaims: (_ctx, token) => token.extra,
});

const words = (text) => (text ?? '').split(' ').filter(Boolean);

async function verified(what, token, keys, options) {
  try {
    return (await jose.jwtVerify(token, keys, options)).payload;
  } catch (error) {
    throw new errors.InvalidGrant(`the ${what} token does not hold: ${error.code}`);
  }
}

// Every account has a list of what may be asked on its behalf; the subject token's own scopes open nothing else.
async function exchange(ctx) {
  const { params, client: asking } = ctx.oidc;
  const subject = await verified('subject', params.subject_token, ownKeys, { issuer });
  const actor = await verified('actor', params.actor_token, actorKeys, {
    issuer: settings.actors.issuer,
    audience: issuer,
    typ: ACTOR_TYPE,
  });
  const audience = params.resource ?? params.audience;
  if (audience !== settings.audience) throw new errors.InvalidTarget('no such server');
  const may = new Set(settings.accounts[subject.sub] ?? []);
  for (const scope of words(params.scope)) {
    if (!may.has(scope)) throw new errors.InvalidScope('the subject may not do that', scope);
  }
  const act = { sub: actor.sub, ...(subject.act ? { act: subject.act } : {}) };
  const token = new provider.AccessToken({
    client: asking,
    accountId: subject.sub,
    gty: 'token_exchange',
    extra: { act },
  });
  token.resourceServer = new provider.ResourceServer(audience, target(audience));
  token.scope = params.scope;
  ctx.body = {
    access_token: await token.save(),
    issued_token_type: ACCESS_TOKEN,
    token_type: 'Bearer',
    expires_in: token.expiration,
    scope: token.scope,
  };
}

const parameters = ['subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'audience', 'resource',
  'scope', 'requested_token_type'];
provider.registerGrantType(EXCHANGE, exchange, parameters, ['audience', 'resource']);
provider.on('server_error', (_ctx, error) => console.error(error.stack));

// A subject token as a sign-in would have ended in: for an account, for the gateway, perhaps with actors already.
async function signedIn(request, response) {
  const query = new URL(request.url, issuer).searchParams;
  const before = query.get('before');
  const token = new provider.AccessToken({
    client: await provider.Client.find(settings.agent.id),
    accountId: query.get('account'),
    gty: 'signed_in',
    extra: before ? { act: { sub: before } } : {},
  });
  token.resourceServer = new provider.ResourceServer(query.get('audience'), target(query.get('audience')));
  token.scope = settings.scopes.join(' ');
  response.end(await token.save());
}

const tls = {
  cert: readFileSync(settings.cert),
  key: readFileSync(settings.key),
  ca: readFileSync(settings.bundle),
  requestCert: true,
  rejectUnauthorized: false, // Who shows no certificate proves itself in another way.
};
const respond = provider.callback();
createServer(tls, (request, response) => {
  const answered = request.url.startsWith('/signed-in?') ? signedIn(request, response) : respond(request, response);
  Promise.resolve(answered).catch((error) => {
    console.error(error.stack);
    response.writeHead(500).end();
  });
}).listen(settings.port, '127.0.0.1', () => console.log('ready'));
