// oidc-provider as a token service that performs RFC 8693 exchanges and names the actor, for stories. It is an identity
// provider that gives ID-JAGs too, and a token service that takes those of another one (RFC 7523).
// usage: node token_service.mjs SETTINGS.json
// SETTINGS: {port, cert, key, bundle, audience, scopes, accounts: {NAME: [scope...]}, agent: {id, secret},
//   gateway: {id, secret, jwks, uri}, actors: {issuer, jwks}, id_jag_for: {ISSUER: CLIENT_ID}, id_jag_from: ISSUER}; prints
// "ready" when it serves. Its clients are the agent, and the gateway three times: <id>-secret, <id>-key and <id>-svid,
// after the ways in which it proves itself. NODE_EXTRA_CA_CERTS has to name the bundle where id_jag_from is there.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import * as jose from 'jose';
import { Provider, errors } from 'oidc-provider';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const ACTOR_TYPE = 'sallyport-actor+jwt';
const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';
const ID_JAG_TYPE = 'oauth-id-jag+jwt';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const issuer = `https://127.0.0.1:${settings.port}`;

const { privateKey, publicKey } = await jose.generateKeyPair('ES256', { extractable: true });
const named = { alg: 'ES256', use: 'sig', kid: 'tokens' };
const ownKeys = jose.createLocalJWKSet({ keys: [{ ...(await jose.exportJWK(publicKey)), ...named }] });
const actorKeys = jose.createLocalJWKSet(settings.actors.jwks);

const client = (id, more) => ({
  client_id: id,
  grant_types: ['client_credentials', EXCHANGE, JWT_BEARER],
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
function allowed(account, scopes) {
  const may = new Set(settings.accounts[account] ?? []);
  for (const scope of words(scopes)) {
    if (!may.has(scope)) throw new errors.InvalidScope('the subject may not do that', scope);
  }
}

// An access token for an account, as its answer.
async function issued(asking, account, audience, scope, act) {
  if (audience !== settings.audience) throw new errors.InvalidTarget('no such server');
  allowed(account, scope);
  const extra = act ? { act } : {};
  const token = new provider.AccessToken({ client: asking, accountId: account, gty: 'token_exchange', extra });
  token.resourceServer = new provider.ResourceServer(audience, target(audience));
  token.scope = scope;
  return { access_token: await token.save(), token_type: 'Bearer', expires_in: token.expiration, scope };
}

async function exchange(ctx) {
  const { params, client: asking } = ctx.oidc;
  const subject = await verified('subject', params.subject_token, ownKeys, { issuer });
  let act;
  if (params.requested_token_type !== ID_JAG || params.actor_token) {
    const options = { issuer: settings.actors.issuer, audience: issuer, typ: ACTOR_TYPE };
    const actor = await verified('actor', params.actor_token, actorKeys, options);
    act = { sub: actor.sub, ...(subject.act ? { act: subject.act } : {}) };
  }
  if (params.requested_token_type === ID_JAG) {
    ctx.body = await idJag(subject.sub, params, act);
    return;
  }
  const answer = await issued(asking, subject.sub, params.resource ?? params.audience, params.scope, act);
  ctx.body = { ...answer, issued_token_type: ACCESS_TOKEN };
}

// The word for another token service that the gateway, by the name that it has there, may ask for an account.
async function idJag(account, params, act) {
  const clientId = settings.id_jag_for?.[params.audience];
  if (!clientId) throw new errors.InvalidTarget('no such token service');
  allowed(account, params.scope);
  const claims = { client_id: clientId, resource: params.resource, scope: params.scope, ...(act ? { act } : {}) };
  const assertion = new jose.SignJWT(claims)
    .setProtectedHeader({ alg: 'ES256', kid: named.kid, typ: ID_JAG_TYPE })
    .setIssuer(issuer)
    .setSubject(account)
    .setAudience(params.audience)
    .setJti(randomUUID())
    .setIssuedAt()
    .setExpirationTime('5m');
  const access_token = await assertion.sign(privateKey);
  return { access_token, issued_token_type: ID_JAG, token_type: 'N_A', scope: params.scope, expires_in: 300 };
}

async function granted(ctx) {
  const { params, client: asking } = ctx.oidc;
  const trusted = settings.id_jag_from;
  if (!trusted) throw new errors.InvalidGrant('no identity provider is trusted here');
  const keys = jose.createRemoteJWKSet(new URL(`${trusted}/jwks`));
  const options = { issuer: trusted, audience: issuer, typ: ID_JAG_TYPE };
  const assertion = await verified('assertion', params.assertion, keys, options);
  if (assertion.client_id !== asking.clientId) throw new errors.InvalidGrant('it is for another client');
  const may = new Set(words(assertion.scope));
  const scope = words(params.scope).filter((word) => may.has(word)).join(' ');
  ctx.body = await issued(asking, assertion.sub, assertion.resource, scope, assertion.act);
}

const parameters = ['subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'audience', 'resource',
  'scope', 'requested_token_type'];
provider.registerGrantType(EXCHANGE, exchange, parameters, ['audience', 'resource']);
provider.registerGrantType(JWT_BEARER, granted, ['assertion', 'resource', 'scope'], ['resource']);
provider.on('server_error', (_ctx, error) => console.error(error.stack));

// A subject token as a sign-in would have ended in: for an account, for the gateway, perhaps with actors already, perhaps
// so long ago that it has expired.
async function signedIn(request, response) {
  const query = new URL(request.url, issuer).searchParams;
  if (query.get('ago')) {
    const then = Math.floor(Date.now() / 1000) - Number(query.get('ago'));
    const claims = { iss: issuer, sub: query.get('account'), aud: query.get('audience'), iat: then, exp: then + 1,
      client_id: settings.agent.id, scope: settings.scopes.join(' ') };
    const header = { alg: 'ES256', kid: named.kid, typ: 'at+jwt' };
    response.end(await new jose.SignJWT(claims).setProtectedHeader(header).sign(privateKey));
    return;
  }
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
