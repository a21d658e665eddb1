#!/usr/bin/env python3
"""The official Python MCP SDK, from nothing but the gateway's URL to a tool's answer.

It finds out whose token it needs, registers, sends a person to sign in, and calls. The person is a function that fills in
the form. Steps, lines and environment are those of ../node/oauth_client.mjs:

    oauth_client.py --server s3
"""

import argparse
import asyncio
import html
import json
import os
import re
import ssl
import sys
from urllib.parse import parse_qs, parse_qsl, urljoin, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

REDIRECT = "http://127.0.0.1:49152/callback"
URL = os.environ["SALLYPORT_URL"]


def say(step, result=None, error=None):
    """Prints a step's line at once: a story may be reading it."""
    line = {"step": step, "ok": error is None}
    line.update({"result": result} if error is None else {"error": error})
    print(json.dumps(line), flush=True)


def tls(with_certificate):
    """The program shows its workload's certificate; a person's browser has none."""
    context = ssl.create_default_context(cafile=os.environ["SALLYPORT_CA"])
    if with_certificate:
        context.load_cert_chain(os.environ["SALLYPORT_CERT"], os.environ["SALLYPORT_KEY"])
    return context


async def sign_in(url):
    """What a person does: opens the page, fills in the form, and is sent back."""
    async with httpx2.AsyncClient(verify=tls(False), trust_env=False) as browser:  # It keeps the cookie.
        page = html.unescape((await browser.get(url)).text)
        form = {
            "csrf": re.search(r'name="csrf" value="([^"]+)"', page)[1],
            "agent": re.search(r"<option>([^<]+)</option>", page)[1],
            "user": os.environ["SALLYPORT_USER"],
            "password": os.environ["SALLYPORT_PASSWORD"],
            "answer": "allow",
        }
        action = re.search(r'<form method="post" action="([^"]+)">', page)[1]
        answer = await browser.post(urljoin(url, action), data=form)
        if answer.status_code != 303:
            raise RuntimeError(f"the form was answered with {answer.status_code}")
        return answer.headers["location"]


class Storage:
    """Keeps what the SDK wants kept, in memory."""

    def __init__(self):
        self.tokens = self.client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


async def run(url):
    """Signs in, calls, and calls once more when the access token's time is over."""
    at, heard, storage, answer = "sign-in", [], Storage(), {}

    async def redirect(authorization_url):
        answer.update(parse_qsl(urlsplit(await sign_in(authorization_url)).query))

    async def callback():
        return AuthorizationCodeResult(code=answer["code"], state=answer["state"], iss=answer["iss"])

    async def hear(response):
        request, origin = response.request, f"{response.url.scheme}://{response.url.netloc.decode()}"
        grant = parse_qs(request.content.decode()).get("grant_type") if b"grant_type=" in request.content else None
        heard.append({"gateway": origin == URL, "path": response.url.path, "status": response.status_code,
                      **({"grant": grant[0]} if grant else {})})

    metadata = OAuthClientMetadata(client_name="stories", redirect_uris=[REDIRECT])
    provider = OAuthClientProvider(url, metadata, storage, redirect, callback)
    try:
        async with httpx2.AsyncClient(verify=tls(True), auth=provider, timeout=30, trust_env=False,
                                      event_hooks={"response": [hear]}) as http:
            async with Client(streamable_http_client(url, http_client=http)) as client:
                say(at, {"iss": answer["iss"], "scope": storage.tokens.scope})
                say("connect", {})
                at = "list-tools"
                say(at, (await client.list_tools()).model_dump(mode="json", by_alias=True, exclude_none=True))
                at = "call"
                result = await client.call_tool("get_object", {"bucket": "demo", "key": "public/hello.txt"})
                say(at, result.model_dump(mode="json", by_alias=True, exclude_none=True))
                at, before = "refreshed", storage.tokens.refresh_token
                provider.context.token_expiry_time = 1  # As if its time were over.
                again = (await client.list_tools()).model_dump(mode="json", by_alias=True, exclude_none=True)
                say(at, {**again, "rotated": storage.tokens.refresh_token != before})
                at = "close"
    except Exception as failure:  # Whatever the program sees is the answer of this step.
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        say(at, error={"type": type(failure).__name__, "message": str(failure)})
        return False
    finally:
        say("heard", heard)
    return True


def main():
    """Reads the command line and runs the story."""
    parser = argparse.ArgumentParser(description="Signs in and calls, with the official Python SDK.")
    parser.add_argument("--server", default="s3", help="the server's name, as in SALLYPORT_URL/mcp/<server>")
    arguments = parser.parse_args()
    sys.exit(0 if asyncio.run(run(f"{URL}/mcp/{arguments.server}")) else 1)


if __name__ == "__main__":
    main()
