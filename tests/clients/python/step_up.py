"""A person who is asked for more: what the SDK's OAuth provider takes, and an authorization server that always says yes.

The server is a stub inside this program. What it issues was handed over in SALLYPORT_WIDER_TOKEN; what it was asked for is
told, so that a story can see which scopes the SDK read from the gateway's challenge.
"""

from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

REDIRECT = "http://127.0.0.1/callback"
WELL_KNOWN = "/.well-known/oauth-authorization-server"


class Person:
    """The storage and the two hooks of the SDK's provider; `asked` is the query that a browser would have been sent with."""

    def __init__(self, token, scope):
        self.asked = None
        self.tokens = OAuthToken(access_token=token, token_type="Bearer", scope=scope)
        self.client = OAuthClientInformationFull(
            client_id="story", redirect_uris=[REDIRECT], token_endpoint_auth_method="none")

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client

    async def redirect(self, url):
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}

    async def callback(self):
        return AuthorizationCodeResult(code="yes", state=self.asked["state"])

    def provider(self, url):
        metadata = OAuthClientMetadata(redirect_uris=[REDIRECT], client_name="story", token_endpoint_auth_method="none")
        return OAuthClientProvider(url, metadata, self, self.redirect, self.callback)


def authorization_server(wider):
    """The stub's answers to whatever isn't for the gateway."""

    def answer(request):
        origin, path = f"{request.url.scheme}://{request.url.netloc.decode()}", request.url.path
        if path.startswith(WELL_KNOWN):
            return httpx2.Response(200, json={
                "issuer": origin + path.removeprefix(WELL_KNOWN),
                "authorization_endpoint": f"{origin}/authorize",
                "token_endpoint": f"{origin}/token",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
            })
        if path == "/token" and b"code=yes" in request.content:
            return httpx2.Response(200, json={"access_token": wider, "token_type": "Bearer", "expires_in": 600})
        return httpx2.Response(404)

    return httpx2.MockTransport(answer)
