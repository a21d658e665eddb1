// A person who is asked for more: the provider that the SDKs take, and an authorization server that always says yes.
//
// The server is a stub inside this program. What it issues was handed over in SALLYPORT_WIDER_TOKEN; what it was asked for
// is told, so that a story can see which scopes the SDK read from the gateway's challenge.

import { Response } from 'undici';

const REDIRECT = 'http://127.0.0.1/callback';
const WELL_KNOWN = '/.well-known/oauth-authorization-server';

/** What the SDK keeps and calls; `asked` is the URL that a browser would have been sent to. */
export function person(token, scope) {
  const kept = { tokens: { access_token: token, token_type: 'Bearer', scope }, client: { client_id: 'story', redirect_uris: [REDIRECT] } };
  return {
    asked: undefined,
    redirectUrl: REDIRECT,
    clientMetadata: { redirect_uris: [REDIRECT], client_name: 'story' },
    clientInformation: () => kept.client,
    saveClientInformation: client => { kept.client = client; },
    tokens: () => kept.tokens,
    saveTokens: tokens => { kept.tokens = tokens; },
    discoveryState: () => kept.discovered,
    saveDiscoveryState: discovered => { kept.discovered = discovered; },
    codeVerifier: () => kept.verifier,
    saveCodeVerifier: verifier => { kept.verifier = verifier; },
    redirectToAuthorization(url) { this.asked = url; },
  };
}

/** The stub's answer to whatever isn't for the gateway. */
export function authorizationServer(url, init, wider) {
  const { origin, pathname } = new URL(url);
  const json = document => new Response(JSON.stringify(document), { headers: { 'content-type': 'application/json' } });
  if (pathname.startsWith(WELL_KNOWN)) {
    const issuer = origin + pathname.slice(WELL_KNOWN.length);
    return json({
      issuer,
      authorization_endpoint: `${origin}/authorize`,
      token_endpoint: `${origin}/token`,
      response_types_supported: ['code'],
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['none'],
    });
  }
  if (pathname === '/token' && String(init.body).includes('code=yes')) {
    return json({ access_token: wider, token_type: 'Bearer', expires_in: 600 });
  }
  return new Response('', { status: 404 });
}
