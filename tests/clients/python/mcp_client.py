#!/usr/bin/env python3
"""The official Python MCP SDK as a program that the stories run.

It opens one session through the gateway, carries out steps in it, and prints one JSON line a step:

    {"step": "connect", "ok": true, "result": {"protocolVersion": "2026-07-28"}}
    {"step": "call", "ok": true, "result": {...}}
    {"step": "call", "ok": false, "error": {"type": "MCPError", "code": -32001, "message": "...", "data": {...}}}

A step that fails does not end the session: the next one runs in it, so a story can show that a refusal
leaves the session usable. The exit status is 0 when every step was carried out and answered, whatever the
answer; 1 when the session could not be opened or was lost; 2 for wrong arguments.

Where to go and who to be comes from the environment, as `sallyport up` writes it to DIR/agent.env:
SALLYPORT_URL, SALLYPORT_CA, SALLYPORT_CERT, SALLYPORT_KEY, SALLYPORT_TOKEN. Each but the URL may be absent,
so that a story can leave one out. With SALLYPORT_WIDER_TOKEN, a challenge for more scopes is met (step_up.py), and a line
{"step": "step-up"} says what was asked for.
"""

import argparse
import asyncio
import json
import os
import ssl
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from step_up import Person, authorization_server

ERAS = {"2026": ("auto", "2026-07-28"), "2025": ("legacy", "2025-11-25")}
STEPS_HELP = """
steps of a script, as a JSON array (or @FILE):
  {"do": "list-tools"}
  {"do": "call", "name": "get_object", "arguments": {"bucket": "demo", "key": "public/hello.txt"}}
  {"do": "read-resource", "uri": "s3://demo/public/hello.txt"}
"headers" in a step replaces headers of what the SDK sends in it: {"do": ..., "headers": {"authorization": "Bearer x"}}

example:
  . DIR/agent.env
  mcp_client.py --server s3 --era 2026 call get_object '{"bucket":"demo","key":"public/hello.txt"}'
"""


def say(step, result=None, error=None):
    """Prints a step's line at once: a story may be reading it."""
    line = {"step": step, "ok": error is None}
    if error is None:
        line["result"] = result
    else:
        line["error"] = error
    print(json.dumps(line), flush=True)


def told(failure):
    """What the SDK told its caller: the fields that a program can act on."""
    while isinstance(failure, BaseExceptionGroup):  # The SDK's task groups wrap what went wrong.
        failure = failure.exceptions[0]
    error = {"type": type(failure).__name__, "message": str(failure)}
    for field in ("code", "data"):
        if getattr(failure, field, None) is not None:
            error[field] = getattr(failure, field)
    return error


def http_client(environment, url, replaced, asked):
    """An HTTP client that presents the workload's certificate and the person's token, but for headers replaced.

    `asked` is the person who gives more scopes, if there is one.
    """
    tls = ssl.create_default_context(cafile=environment.get("SALLYPORT_CA"))
    if "SALLYPORT_CERT" in environment:
        tls.load_cert_chain(environment["SALLYPORT_CERT"], environment.get("SALLYPORT_KEY"))
    headers, more = {}, {}
    if asked:
        origin = url[: url.index("/mcp/")]
        gateway = httpx2.AsyncHTTPTransport(verify=tls, trust_env=False)
        server = authorization_server(environment["SALLYPORT_WIDER_TOKEN"])
        more = {"auth": asked.provider(url), "mounts": {origin: gateway}, "transport": server}
    elif "SALLYPORT_TOKEN" in environment:
        headers["Authorization"] = f"Bearer {environment['SALLYPORT_TOKEN']}"

    async def replace(request):
        request.headers.update(replaced)

    hooks = {"request": [replace]}
    return httpx2.AsyncClient(verify=tls, headers=headers, timeout=30, trust_env=False, event_hooks=hooks, **more)


async def carry_out(client, step):
    """Carries out one step by the SDK's public interface."""
    match step["do"]:
        case "list-tools":
            return await client.list_tools()
        case "call":
            return await client.call_tool(step["name"], step.get("arguments", {}))
        case "read-resource":
            return await client.read_resource(step["uri"])
    raise ValueError(f"no such step: {step['do']}")


async def run(url, era, steps):
    """Opens the session and goes through the steps. Says whether the session held."""
    mode, version = ERAS[era]
    at = "connect"
    replaced, asked = {}, None
    if "SALLYPORT_WIDER_TOKEN" in os.environ:
        asked = Person(os.environ["SALLYPORT_TOKEN"], os.environ["SALLYPORT_SCOPE"])
    try:
        async with http_client(os.environ, url, replaced, asked) as http:
            async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
                spoken = client.protocol_version
                if spoken != version:  # A quiet fall-back would test the other era and look like a pass.
                    say(at, error={"type": "WrongEra", "message": f"wanted {version}, the server speaks {spoken}"})
                    return False
                say(at, {"protocolVersion": spoken})
                for step in steps:
                    at = step["do"]
                    replaced.update(step.get("headers", {}))
                    try:
                        result = await carry_out(client, step)
                        if asked and asked.asked:
                            say("step-up", asked.asked)
                            asked.asked = None
                        say(at, result.model_dump(mode="json", by_alias=True, exclude_none=True))
                    except Exception as failure:  # Whatever the program sees is the answer of this step.
                        say(at, error=told(failure))
                    replaced.clear()
                at = "close"
    except Exception as failure:
        say(at, error=told(failure))
        return False
    return True


def steps_of(arguments):
    """The steps that the command line names."""
    match arguments.command:
        case "call":
            return [{"do": "call", "name": arguments.name, "arguments": json.loads(arguments.arguments)}]
        case "read-resource":
            return [{"do": "read-resource", "uri": arguments.uri}]
        case "script":
            if arguments.steps.startswith("@"):
                with open(arguments.steps[1:], encoding="utf-8") as file:
                    return json.load(file)
            return json.loads(arguments.steps)
    return [{"do": "list-tools"}]


def main():
    """Reads the command line and runs the session."""
    parser = argparse.ArgumentParser(
        description="Calls an MCP server through Sallyport with the official Python SDK.",
        epilog=STEPS_HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="s3", help="the server's name, as in SALLYPORT_URL/mcp/<server>; empty for all")
    parser.add_argument("--era", choices=ERAS, default="2026", help="protocol version to insist on")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list-tools")
    call = commands.add_parser("call")
    call.add_argument("name")
    call.add_argument("arguments", nargs="?", default="{}", help="a JSON object")
    commands.add_parser("read-resource").add_argument("uri")
    commands.add_parser("script").add_argument("steps")
    arguments = parser.parse_args()
    if "SALLYPORT_URL" not in os.environ:
        parser.error("SALLYPORT_URL is not set: source DIR/agent.env first")
    try:
        steps = steps_of(arguments)
    except (OSError, json.JSONDecodeError) as failure:
        parser.error(f"the JSON cannot be read: {failure}")
    url = f"{os.environ['SALLYPORT_URL'].rstrip('/')}/mcp/{arguments.server}".rstrip("/")
    sys.exit(0 if asyncio.run(run(url, arguments.era, steps)) else 1)


if __name__ == "__main__":
    main()
