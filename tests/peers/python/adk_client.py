#!/usr/bin/env python3
"""google-adk's RemoteA2aAgent as a program that the stories run: an agent of ADK's own, whose work another one does.

    adk_client.py --card URL [--binding jsonrpc|rest|grpc] [--cert C --key K] [--ca CA] [--token T] TEXT...

It talks to the agent whose card is at URL (the card itself, as .../.well-known/agent-card.json): each TEXT is one turn
of one session, run by ADK's Runner. It prints one JSON line for each event that ADK gives:

    {"event": "adk", "author": "remote", "text": "hi", "error": null, "task": "...", "context": "..."}

and {"event": "end", "ok": true} at the end. The exit status is 0 when each turn was answered without an error.
"""

import argparse
import asyncio
import json
import logging
import ssl
import sys
import warnings

warnings.filterwarnings("ignore")  # RemoteA2aAgent says on each use that it is experimental.

import httpx  # noqa: E402
from a2a.client import ClientConfig, ClientFactory  # noqa: E402
from a2a_client import BINDINGS, channel  # noqa: E402
from google.adk.agents.remote_a2a_agent import RemoteA2aAgent  # noqa: E402
from google.adk.runners import InMemoryRunner  # noqa: E402
from google.genai import types  # noqa: E402


def say(**line):
    """Prints a line at once: a story may be reading it."""
    print(json.dumps(line), flush=True)


async def run(arguments):
    """Runs the turns and says whether each was answered."""
    tls = ssl.create_default_context(cafile=arguments.ca)
    if arguments.cert:
        tls.load_cert_chain(arguments.cert, arguments.key)
    headers = {"authorization": f"Bearer {arguments.token}"} if arguments.token else {}
    async with httpx.AsyncClient(verify=tls, headers=headers, timeout=30, trust_env=False) as http:
        config = ClientConfig(httpx_client=http, supported_protocol_bindings=[BINDINGS[arguments.binding]],
                              grpc_channel_factory=lambda url: channel(arguments, url), streaming=not arguments.no_streaming)
        remote = RemoteA2aAgent(name="remote", agent_card=arguments.card, a2a_client_factory=ClientFactory(config))
        runner = InMemoryRunner(agent=remote, app_name="stories")
        session = await runner.session_service.create_session(app_name="stories", user_id="someone")
        ok = True
        for text in arguments.text:
            said = types.Content(role="user", parts=[types.Part(text=text)])
            async for event in runner.run_async(user_id="someone", session_id=session.id, new_message=said):
                words = "".join(part.text or "" for part in (event.content.parts or [])) if event.content else ""
                metadata = event.custom_metadata or {}
                ok = ok and not event.error_message
                say(event="adk", author=event.author, text=words, error=event.error_message, partial=bool(event.partial),
                    task=metadata.get("a2a:task_id"), context=metadata.get("a2a:context_id"))
        await runner.close()
    return ok


def main():
    """Reads the command line and runs."""
    parser = argparse.ArgumentParser(description="Calls an A2A agent by google-adk's RemoteA2aAgent.",
                                     epilog=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--card", required=True, help="the card's URL")
    parser.add_argument("--binding", choices=BINDINGS, default="jsonrpc")
    parser.add_argument("--no-streaming", action="store_true")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--ca")
    parser.add_argument("--authority")
    parser.add_argument("--token")
    parser.add_argument("text", nargs="+")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    ok = False
    try:
        ok = asyncio.run(run(arguments))
    except Exception as failure:  # Whatever the program sees is the answer.
        say(event="error", type=type(failure).__name__, message=str(failure))
    say(event="end", ok=ok)
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
