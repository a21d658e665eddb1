#!/usr/bin/env python3
"""The official Python A2A SDK as a program that the stories run.

    a2a_client.py --url URL [--binding jsonrpc|rest|grpc] [--version 1.0|0.3] [--cert C --key K] [--ca CA] COMMAND ...

It reads the card at URL (or at --card-path below it), takes the interface of that binding and version from it, calls
the agent once, and prints one JSON line an event:

    {"event": "task", "value": {...}}              also message, statusUpdate, artifactUpdate, tasks, config, configs,
    {"event": "error", "type": "TaskNotFoundError", "code": -32001, "message": "...", "data": {...}}   card, deleted

Values are in A2A 1.0's JSON, whatever was spoken. The exit status is 0 when the agent answered, 1 when it refused or
could not be reached (the last line is the error then), 2 for wrong arguments. --direct takes URL for the interface
itself and reads no card. `session` reads commands from standard input, each a JSON array in a line, as
["get", "TASK"], and writes {"event": "end", "ok": true} after the lines of each.
"""

import argparse
import asyncio
import json
import ssl
import sys
import uuid

import httpx
from a2a.client import ClientCallContext, ClientConfig, ClientFactory
from a2a.client.card_resolver import A2ACardResolver, parse_agent_card
from a2a.client.service_parameters import ServiceParametersFactory, with_a2a_extensions
from a2a.types import (
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTasksRequest,
    SendMessageRequest,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
)
from a2a.utils.errors import JSON_RPC_ERROR_CODE_MAP, A2AError
from google.protobuf.json_format import MessageToDict, ParseDict

BINDINGS = {"jsonrpc": "JSONRPC", "rest": "HTTP+JSON", "grpc": "GRPC"}


def say(event, value=None, **more):
    """Prints an event's line at once: a story may be reading it."""
    line = {"event": event}
    if value is not None:
        line["value"] = value if isinstance(value, (dict, list)) else MessageToDict(value)
    print(json.dumps(line | more), flush=True)


def told(failure):
    """What the SDK told its caller: the fields that a program can act on."""
    error = {"type": type(failure).__name__, "message": str(failure)}
    if isinstance(failure, A2AError):
        error["code"] = next((code for kind, code in JSON_RPC_ERROR_CODE_MAP.items() if type(failure) is kind), None)
        error["data"] = failure.data
    cause = failure
    while cause.__cause__ is not None:
        cause = cause.__cause__
    response = getattr(cause, "response", None)
    if response is not None:
        error["status"] = response.status_code
    if hasattr(cause, "code") and callable(cause.code):  # gRPC's status.
        error["status"] = cause.code().name
    if cause is not failure:
        error["cause"] = f"{type(cause).__name__}: {cause}"[:500]
    return {name: value for name, value in error.items() if value is not None}


def read(path):
    """A file's bytes, or None where no file is named."""
    if not path:
        return None
    with open(path, "rb") as file:
        return file.read()


def http_client(arguments):
    """An HTTP client that presents the workload's certificate and the person's token."""
    tls = ssl.create_default_context(cafile=arguments.ca)
    if arguments.cert:
        tls.load_cert_chain(arguments.cert, arguments.key)
    return httpx.AsyncClient(verify=tls, headers=headers(arguments), timeout=30, trust_env=False)


def headers(arguments):
    """The headers that go with each request."""
    found = dict(header.split("=", 1) for header in arguments.header)
    if arguments.token:
        found["authorization"] = f"Bearer {arguments.token}"
    return found


def channel(arguments, url):
    """A gRPC channel to HOST:PORT; the card gives a URL, as A2A wants, and gRPC takes no scheme and no path."""
    import grpc
    address = url.split("://", 1)[-1].split("/", 1)[0]
    options = [("grpc.enable_http_proxy", 0)]
    if arguments.authority:
        options.append(("grpc.ssl_target_name_override", arguments.authority))
    if not arguments.ca:
        return grpc.aio.insecure_channel(address, options=options)
    credentials = grpc.ssl_channel_credentials(read(arguments.ca), read(arguments.key), read(arguments.cert))
    return grpc.aio.secure_channel(address, credentials, options=options)


def part(text):
    """A part, from @JSON or a text."""
    return json.loads(text[1:]) if text.startswith("@") else {"text": text}


def message(arguments):
    """The request that `send` and `stream` make."""
    said = {"messageId": arguments.message_id or str(uuid.uuid4()), "role": "ROLE_USER",
            "parts": [part(text) for text in arguments.parts]}
    for name, value in (("taskId", arguments.task), ("contextId", arguments.context),
                        ("referenceTaskIds", arguments.reference), ("extensions", arguments.extension)):
        if value:
            said[name] = value
    if arguments.metadata:
        said["metadata"] = json.loads(arguments.metadata)
    request = {"message": said, "configuration": {}}
    if arguments.return_immediately:
        request["configuration"]["returnImmediately"] = True
    if arguments.history is not None:
        request["configuration"]["historyLength"] = arguments.history
    if arguments.push:
        request["configuration"]["taskPushNotificationConfig"] = {"url": arguments.push, "token": "opaque"}
    return tenanted(arguments, ParseDict(request, SendMessageRequest()))


def tenanted(arguments, request):
    """The request with the tenant that the command line says; the SDK writes the card's where there is none."""
    if arguments.tenant:
        request.tenant = arguments.tenant
    return request


async def told_events(stream, limit):
    """Prints a stream's events; hangs up after `limit` of them."""
    count = 0
    async for event in stream:
        kind = event.WhichOneof("payload")
        say({"status_update": "statusUpdate", "artifact_update": "artifactUpdate"}.get(kind, kind), getattr(event, kind))
        count += 1
        if count == limit:
            say("hung-up")
            return


def verifier(arguments):
    """The SDK's verifier of signatures, with the keys in a file."""
    import jwt
    from a2a.utils.signing import create_signature_verifier
    keys = {key["kid"]: jwt.PyJWK(key) for key in json.loads(read(arguments.jwks))["keys"]}

    def key_of(kid, _jku):
        if kid not in keys:
            raise jwt.PyJWTError(f"no key {kid}")
        return keys[kid]

    return create_signature_verifier(key_of, ["ES256", "EdDSA"])


async def card_of(arguments, http):
    """The card, and its interface of the binding and version that are asked for."""
    if arguments.direct:
        interface = {"url": arguments.url, "protocolBinding": BINDINGS[arguments.binding],
                     "protocolVersion": arguments.version, "tenant": arguments.tenant or ""}
        return parse_agent_card({"name": "direct", "supportedInterfaces": [interface],
                                 "capabilities": {"streaming": True, "pushNotifications": True, "extendedAgentCard": True}})
    if arguments.card_file:
        card = parse_agent_card(json.loads(read(arguments.card_file)))
    else:
        card = await A2ACardResolver(http, arguments.url).get_agent_card(
            relative_card_path=arguments.card_path,
            signature_verifier=verifier(arguments) if arguments.jwks else None)
    return card


async def call(arguments):
    """Carries out the command by the SDK's public interface."""
    async with http_client(arguments) as http:
        if arguments.version == "1.0":
            http.headers["A2A-Version"] = "1.0"  # As the SDK's factory does; a card may differ by it.
        card = await card_of(arguments, http)
        if arguments.command in ("card", "verify-card"):
            if arguments.command == "verify-card" and arguments.card_file:
                verifier(arguments)(card)
            say("card", card, verified=arguments.command == "verify-card")
            return
        wanted = BINDINGS[arguments.binding]
        for index in reversed(range(len(card.supported_interfaces))):
            interface = card.supported_interfaces[index]
            if interface.protocol_binding != wanted or not interface.protocol_version.startswith(arguments.version):
                del card.supported_interfaces[index]
        config = ClientConfig(
            streaming=arguments.command in ("stream", "subscribe"), httpx_client=http, supported_protocol_bindings=[wanted],
            grpc_channel_factory=lambda url: channel(arguments, url))
        client = ClientFactory(config).create(card)
        parameters = ServiceParametersFactory.create([with_a2a_extensions(arguments.extension)])
        if arguments.binding == "grpc":
            parameters |= headers(arguments)
        context = ClientCallContext(service_parameters=parameters)
        try:
            await carry_out(arguments, client, context)
        finally:
            await client.close()  # A channel of gRPC would keep a stream that nobody reads any more.


async def carry_out(arguments, client, context):
    """One call."""
    task = getattr(arguments, "id", None)
    match arguments.command:
        case "send" | "stream":
            await told_events(client.send_message(message(arguments), context=context), arguments.stop_after)
        case "subscribe":
            request = tenanted(arguments, SubscribeToTaskRequest(id=task))
            await told_events(client.subscribe(request, context=context), arguments.stop_after)
        case "get":
            request = GetTaskRequest(id=task)
            if arguments.history is not None:
                request.history_length = arguments.history
            say("task", await client.get_task(tenanted(arguments, request), context=context))
        case "list":
            fields = {"contextId": arguments.context, "status": arguments.status, "pageSize": arguments.page_size,
                      "pageToken": arguments.page_token, "includeArtifacts": arguments.artifacts or None}
            request = ParseDict({name: value for name, value in fields.items() if value is not None},
                                ListTasksRequest())
            say("tasks", await client.list_tasks(tenanted(arguments, request), context=context))
        case "cancel":
            request = tenanted(arguments, CancelTaskRequest(id=task))
            say("task", await client.cancel_task(request, context=context))
        case "push-set":
            request = ParseDict({"taskId": task, "id": arguments.config or "", "url": arguments.to,
                                 "token": "opaque", "authentication": {"scheme": "Bearer", "credentials": "secret"}},
                                TaskPushNotificationConfig())
            made = await client.create_task_push_notification_config(tenanted(arguments, request), context=context)
            say("config", made)
        case "push-get":
            request = tenanted(arguments, GetTaskPushNotificationConfigRequest(task_id=task, id=arguments.config))
            say("config", await client.get_task_push_notification_config(request, context=context))
        case "push-list":
            request = tenanted(arguments, ListTaskPushNotificationConfigsRequest(task_id=task))
            say("configs", await client.list_task_push_notification_configs(request, context=context))
        case "push-delete":
            request = tenanted(arguments, DeleteTaskPushNotificationConfigRequest(task_id=task, id=arguments.config))
            await client.delete_task_push_notification_config(request, context=context)
            say("deleted")
        case "extended-card":
            request = tenanted(arguments, GetExtendedAgentCardRequest())
            check = verifier(arguments) if arguments.jwks else None
            card = await client.get_extended_agent_card(request, context=context, signature_verifier=check)
            say("card", card, verified=check is not None)


def command_line():
    """The command line's grammar, the same as the one of ../node/a2a_client.mjs."""
    parser = argparse.ArgumentParser(description="Calls an A2A agent with the official Python SDK.",
                                     epilog=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="", help="where the card is: URL/.well-known/agent-card.json")
    parser.add_argument("--card-path", help="the card's path below the URL")
    parser.add_argument("--card-file", help="a file with the card, rather than fetching it")
    parser.add_argument("--direct", action="store_true", help="the URL is the interface's; read no card")
    parser.add_argument("--binding", choices=BINDINGS, default="jsonrpc")
    parser.add_argument("--version", choices=["1.0", "0.3"], default="1.0")
    parser.add_argument("--cert", help="the client's certificate chain, PEM")
    parser.add_argument("--key")
    parser.add_argument("--ca", help="what the server is verified against, PEM")
    parser.add_argument("--authority", help="the name in the server's certificate, where it is not the address (gRPC)")
    parser.add_argument("--token", help="a bearer token")
    parser.add_argument("--header", action="append", default=[], help="NAME=VALUE, may be given again")
    parser.add_argument("--tenant", help="a tenant, rather than the card's")
    parser.add_argument("--extension", action="append", default=[], help="a URI for A2A-Extensions")
    parser.add_argument("--jwks", help="a file with the keys that verify the card")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("send", "stream"):
        sends = commands.add_parser(name)
        sends.add_argument("parts", nargs="+", help="a text, or @ and a part as JSON")
        sends.add_argument("--task")
        sends.add_argument("--context")
        sends.add_argument("--message-id")
        sends.add_argument("--reference", action="append", default=[])
        sends.add_argument("--metadata", help="a JSON object")
        sends.add_argument("--return-immediately", action="store_true")
        sends.add_argument("--history", type=int)
        sends.add_argument("--push", help="a URL to notify")
        sends.add_argument("--stop-after", type=int, help="hang up after so many events")
    for name in ("get", "cancel", "subscribe", "push-set", "push-get", "push-list", "push-delete"):
        names_a_task = commands.add_parser(name)
        names_a_task.add_argument("id", help="the task")
        if name == "get":
            names_a_task.add_argument("--history", type=int)
        if name == "subscribe":
            names_a_task.add_argument("--stop-after", type=int)
        if name == "push-set":
            names_a_task.add_argument("to", help="the URL to notify")
        if name in ("push-set", "push-get", "push-delete"):
            names_a_task.add_argument("--config", required=name != "push-set", help="the config's id")
    lists = commands.add_parser("list")
    lists.add_argument("--context")
    lists.add_argument("--status")
    lists.add_argument("--page-size", type=int)
    lists.add_argument("--page-token")
    lists.add_argument("--artifacts", action="store_true")
    for name in ("card", "extended-card", "verify-card"):
        commands.add_parser(name)
    commands.add_parser("session", help="reads a JSON array a line, each a command with its arguments")
    return parser


async def once(arguments):
    """Makes one call and says whether it was answered."""
    try:
        await call(arguments)
    except Exception as failure:  # Whatever the program sees is the answer.
        print(json.dumps({"event": "error"} | told(failure)), flush=True)
        return False
    return True


async def session(parser, before):
    """Makes one call a line of standard input."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        say("end", ok=await once(parser.parse_args(before + json.loads(line))))


def main():
    """Reads the command line and makes the call."""
    parser = command_line()
    arguments = parser.parse_args()
    if not arguments.url and not arguments.card_file:
        parser.error("--url or --card-file is needed")
    if arguments.command == "verify-card" and not arguments.jwks:
        parser.error("verify-card needs --jwks")
    if arguments.command == "session":
        asyncio.run(session(parser, sys.argv[1:sys.argv.index("session")]))
    elif not asyncio.run(once(arguments)):
        sys.exit(1)


if __name__ == "__main__":
    main()
