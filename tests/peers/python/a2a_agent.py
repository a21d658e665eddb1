#!/usr/bin/env python3
"""An A2A agent built with the official Python SDK, as an upstream of the stories.

    a2a_agent.py [--cert C --key K [--client-ca CA]] [--grpc] [--legacy] [--record FILE] ...

It speaks A2A 1.0 over JSON-RPC (at /rpc), HTTP+JSON (at /rest) and, with --grpc, gRPC on a port of its own; with
--legacy 0.3 as well, at the same places. With --client-ca a client certificate is required; with --audience a bearer
token that names that audience (with --jwks its signature is checked too). Port 0 takes a free one.

What the agent does is the first word of the message:

    echo TEXT          working, the text in one artifact, completed
    chunks N TEXT      the text N times, as N chunks of one artifact
    pace N MS TEXT     as chunks, with MS milliseconds before each chunk
    hold               working, until it is cancelled
    ask                input-required; the next message in the task completes it
    turn               says which turn of its context this is
    parts              an artifact with a part of each kind
    message TEXT       a message and no task
    fail, reject, auth the task ends (or waits) in that state
    anything else      as echo

When it serves, it prints one JSON line: {"ready": true, "url": ..., "grpc": "HOST:PORT" or null, "card": ...}. Each
request becomes a JSON line in --record as soon as it is complete, before the SDK sees it: {"binding", "method",
"path", "headers", "body", "ids", "peer"}. Secrets in headers are recorded as their length. When a caller hangs up before
its answer is complete, it prints {"gone": PATH}. It ends on SIGTERM, or when its standard input closes with
--until-stdin-closes.
"""

import argparse
import asyncio
import json
import logging
import os
import socket
import ssl
import sys

import httpx
import uvicorn
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandlerV2, GrpcHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import (
    BasePushNotificationSender,
    InMemoryPushNotificationConfigStore,
    InMemoryTaskStore,
    TaskUpdater,
)
from a2a.types import Message, Part, Role, Task, TaskState, TaskStatus
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value
from starlette.applications import Starlette

import cards
from recording import Recorder, Watched, grpc_watch


class Echo(AgentExecutor):
    """Does what the first word of the message says."""

    def __init__(self):
        self.turns = {}

    async def execute(self, context, event_queue):
        words = context.get_user_input().split(" ")
        verb, rest = words[0], " ".join(words[1:])
        self.turns[context.context_id] = turn = self.turns.get(context.context_id, 0) + 1
        update = TaskUpdater(event_queue, context.task_id, context.context_id)
        if verb == "message" and context.current_task is None:
            reply = Message(message_id=f"reply-{context.message.message_id}", role=Role.ROLE_AGENT,
                            context_id=context.context_id, parts=[Part(text=rest)])
            await event_queue.enqueue_event(reply)
            return
        if context.current_task is None:
            await event_queue.enqueue_event(Task(
                id=context.task_id, context_id=context.context_id, history=[context.message],
                status=TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)))
        await update.start_work()
        match verb:
            case "hold":
                await asyncio.Event().wait()  # The SDK ends this coroutine when the task is cancelled.
            case "ask":
                await update.requires_input(update.new_agent_message([Part(text="which one?")]))
                return
            case "auth":
                await update.requires_auth(update.new_agent_message([Part(text="sign in first")]))
                return
            case "fail":
                await update.failed(update.new_agent_message([Part(text="it failed")]))
                return
            case "reject":
                await update.reject(update.new_agent_message([Part(text="not this")]))
                return
            case "turn":
                await update.add_artifact([Part(text=f"turn {turn}")], artifact_id="answer", last_chunk=True)
            case "parts":
                data = ParseDict({"n": 1, "list": [True, None, "x"], "deep": {"f": 1.5}}, Value())
                await update.add_artifact([
                    Part(text="text ✓", metadata={"part": "first"}),
                    Part(raw=b"\x00\x01raw", filename="raw.bin", media_type="application/octet-stream"),
                    Part(url="https://files.test/a%20b.txt", filename="a b.txt", media_type="text/plain"),
                    Part(data=data, media_type="application/json"),
                ], artifact_id="parts", name="one of each", metadata={"of": "all"}, last_chunk=True)
            case "chunks" | "pace":
                count, rest = rest.split(" ", 1)
                pause = 0
                if verb == "pace":
                    pause, rest = rest.split(" ", 1)
                for index in range(int(count)):
                    if pause:
                        await asyncio.sleep(int(pause) / 1000)
                    last = index + 1 == int(count)
                    await update.add_artifact([Part(text=f"{index} {rest}")], artifact_id="answer",
                                              append=index > 0, last_chunk=last)
            case _:
                text = rest if verb == "echo" else context.get_user_input()
                await update.add_artifact([Part(text=text)], artifact_id="answer", last_chunk=True)
        await update.complete()

    async def cancel(self, context, event_queue):
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def listening(host, port):
    """A socket that listens already, so that the ready line never lies."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(1024)
    return sock


async def grpc_server(arguments, handler, recorder):
    """The gRPC server and where it listens."""
    import grpc
    from a2a.compat.v0_3 import a2a_v0_3_pb2_grpc
    from a2a.compat.v0_3.grpc_handler import CompatGrpcHandler
    from a2a.types import a2a_pb2_grpc
    server = grpc.aio.server(interceptors=[grpc_watch(recorder, arguments)])
    a2a_pb2_grpc.add_A2AServiceServicer_to_server(GrpcHandler(handler), server)
    if arguments.legacy:
        a2a_v0_3_pb2_grpc.add_A2AServiceServicer_to_server(CompatGrpcHandler(handler), server)
    at = f"{arguments.host}:{arguments.grpc_port}"
    if arguments.cert:
        def read(path):
            with open(path, "rb") as file:
                return file.read()
        credentials = grpc.ssl_server_credentials(
            [(read(arguments.key), read(arguments.cert))],
            root_certificates=read(arguments.client_ca) if arguments.client_ca else None,
            require_client_auth=bool(arguments.client_ca))
        port = server.add_secure_port(at, credentials)
    else:
        port = server.add_insecure_port(at)
    return server, f"{arguments.host}:{port}"


async def serve(arguments):
    """Builds the agent, says that it is ready, and serves until it is told to end."""
    sock = listening(arguments.host, arguments.port)
    scheme = "https" if arguments.cert else "http"
    url = arguments.public_url or f"{scheme}://{arguments.host}:{sock.getsockname()[1]}"
    recorder = Recorder(arguments.record)
    card, extended = cards.empty(), cards.empty()
    push_configs = InMemoryPushNotificationConfigStore()
    sender = BasePushNotificationSender(httpx.AsyncClient(trust_env=False, verify=cards.trust(arguments)), push_configs)
    handler = DefaultRequestHandlerV2(
        Echo(), InMemoryTaskStore(), card, push_config_store=push_configs, push_sender=sender,
        extended_agent_card=extended)
    grpc, grpc_at = (await grpc_server(arguments, handler, recorder)) if arguments.grpc else (None, None)
    cards.fill(card, arguments, url, grpc_at, extended=False)
    cards.fill(extended, arguments, url, grpc_at, extended=True)

    routes = [
        *create_agent_card_routes(card, cache_control="public, max-age=60"),
        *create_jsonrpc_routes(handler, "/rpc", enable_v0_3_compat=arguments.legacy),
        *create_rest_routes(handler, path_prefix="", enable_v0_3_compat=arguments.legacy),
    ]
    app = Watched(Starlette(routes=routes), recorder, arguments)
    tls = {}
    if arguments.cert:
        tls = {"ssl_certfile": arguments.cert, "ssl_keyfile": arguments.key}
        if arguments.client_ca:
            tls |= {"ssl_ca_certs": arguments.client_ca, "ssl_cert_reqs": ssl.CERT_REQUIRED}
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off",
                                           timeout_graceful_shutdown=1, **tls))
    if grpc:
        await grpc.start()
    serving = asyncio.ensure_future(server.serve(sockets=[sock]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    line = {"ready": True, "url": url, "grpc": grpc_at, "card": f"{url}/.well-known/agent-card.json"}
    print(json.dumps(line), flush=True)
    if arguments.until_stdin_closes:
        asyncio.get_running_loop().add_reader(sys.stdin, lambda: _ended(server))
    await serving
    if grpc:
        await grpc.stop(0)


def _ended(server):
    """Ends the server when the other end of the standard input is gone."""
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin)
        server.should_exit = True


def main():
    """Reads the command line and serves."""
    parser = argparse.ArgumentParser(description="An A2A agent for the stories, on the official Python SDK.",
                                     epilog=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--grpc", action="store_true", help="serve gRPC too")
    parser.add_argument("--grpc-port", type=int, default=0)
    parser.add_argument("--legacy", action="store_true", help="serve 0.3 too")
    parser.add_argument("--cert", help="the server's certificate chain, PEM")
    parser.add_argument("--key")
    parser.add_argument("--client-ca", help="require a client certificate from this CA")
    parser.add_argument("--audience", help="require a bearer token with this audience")
    parser.add_argument("--jwks", help="a file with the JWK set that verifies the token")
    parser.add_argument("--record", help="a file that gets a JSON line for each request")
    parser.add_argument("--name", default="echo")
    parser.add_argument("--tenant", default="", help="the tenant that the card gives")
    parser.add_argument("--public-url", help="the URL that the card gives, rather than where it listens")
    parser.add_argument("--card", help="a JSON file whose members replace the card's")
    parser.add_argument("--sign-key", action="append", default=[],
                        help="a file with a private JWK that signs the cards; may be given again")
    parser.add_argument("--jku", help="where the signatures' keys are published")
    parser.add_argument("--until-stdin-closes", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    logging.getLogger("a2a").setLevel(logging.CRITICAL)
    try:
        asyncio.run(serve(arguments))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
