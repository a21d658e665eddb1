#!/usr/bin/env python3
"""Makes the transcripts of protocol/tests/a2a/wire: what the official SDKs say to each other, listened to in between.

    scripts/setup peers && $SALLYPORT_CACHE/peers/bin/python tests/peers/vectors/wire.py

A file is one client, binding and version: a list of exchanges, each with the command that caused it. Bodies are the
exact text; of gRPC there are the message's bytes in hex and the same as ProtoJSON. `crafted-*.json` has requests that
the SDKs' clients don't make (%3A, GET :subscribe, versions, errors), and what both servers answer.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import grpc
import h11
from a2a.compat.v0_3 import a2a_v0_3_pb2
from a2a.types import a2a_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass

HERE = Path(__file__).parent
OUT = HERE.parents[2] / "protocol/tests/a2a/wire"
SDKS = {"python": "a2a-sdk 1.3.0", "js": "@a2a-js/sdk 1.3.0"}
AGENTS = {"python": [sys.executable, str(HERE.parent / "python/a2a_agent.py")],
          "js": ["node", str(HERE.parent / "node/a2a_agent.mjs")]}
CLIENTS = {"python": [sys.executable, str(HERE.parent / "python/a2a_client.py")],
           "js": ["node", str(HERE.parent / "node/a2a_client.mjs")]}
PATHS = {("jsonrpc", "1.0"): "/rpc", ("jsonrpc", "0.3"): "/rpc", ("rest", "1.0"): "", ("rest", "0.3"): ""}
DULL = {"user-agent", "date", "server", "connection", "keep-alive", "accept-encoding", "accept-language", "sec-fetch-mode",
        "x-accel-buffering", "grpc-accept-encoding", "host", "accept", "cache-control", "content-length", "sec-fetch-site"}


TELLING = {"content-type", "etag", "cache-control", "vary", "a2a-extensions", "a2a-version", "x-a2a-extensions", "www-authenticate"}
CUT = 300  # Characters of an answer that are enough where the request is the point.


def asked(headers):
    """The headers of a request that say something about A2A or about the body."""
    return [[name.decode(), value.decode("latin-1")] for name, value in headers if name.decode().lower() not in DULL]


def answered(headers):
    """The same of an answer."""
    return [[name.decode(), value.decode("latin-1")] for name, value in headers if name.decode().lower() in TELLING]


class Tap:
    """An HTTP/1.1 proxy that keeps what passes."""

    def __init__(self, target):
        self.target, self.heard = target, []

    async def start(self):
        self.server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def connected(self, reader, writer):
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
        sides = {"up": bytearray(), "down": bytearray()}

        async def pump(source, sink, kept_bytes):
            try:
                while part := await source.read(65536):
                    kept_bytes += part
                    sink.write(part)
                    await sink.drain()
            except ConnectionError:
                pass
            finally:
                sink.close()

        await asyncio.gather(pump(reader, up_writer, sides["up"]), pump(up_reader, writer, sides["down"]))
        self.heard += exchanges(bytes(sides["up"]), bytes(sides["down"]))


def exchanges(up, down):
    """The requests and answers in the bytes of one connection."""
    server, client = h11.Connection(h11.SERVER), h11.Connection(h11.CLIENT)
    server.receive_data(up)
    client.receive_data(down)
    found = []
    while True:
        request = server.next_event()
        if not isinstance(request, h11.Request):
            return found
        body = b""
        while isinstance(event := server.next_event(), h11.Data):
            body += event.data
        client.send(h11.Request(method=request.method, target=request.target, headers=request.headers))
        if body:
            client.send(h11.Data(data=body))
        client.send(h11.EndOfMessage())
        answer, text = client.next_event(), b""
        if not isinstance(answer, h11.Response):
            return found
        try:
            while isinstance(event := client.next_event(), h11.Data):
                text += event.data
        except h11.RemoteProtocolError:
            pass  # The stream was hung up on.
        found.append({
            "request": {"method": request.method.decode(), "path": request.target.decode(), "headers": asked(request.headers.raw_items()),
                        "body": body.decode()},
            "response": {"status": answer.status_code, "headers": answered(answer.headers.raw_items()), "body": text.decode()}})
        try:
            server.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            server.send(h11.EndOfMessage())
            server.start_next_cycle()
            client.start_next_cycle()
        except h11.LocalProtocolError:
            return found


def grpc_types(path):
    """The messages of a method."""
    service, method = path.strip("/").split("/")
    module = a2a_v0_3_pb2 if service.startswith("a2a.") else a2a_pb2
    described = module.DESCRIPTOR.services_by_name["A2AService"].methods_by_name[method]
    return GetMessageClass(described.input_type), GetMessageClass(described.output_type), described.server_streaming


def shown(kind, data):
    return {"hex": data.hex(), "json": MessageToDict(kind.FromString(data))}


class GrpcTap(grpc.GenericRpcHandler):
    """A gRPC proxy that keeps what passes; it knows no message, only bytes."""

    def __init__(self, target):
        self.channel, self.heard = grpc.aio.insecure_channel(target), []

    async def start(self):
        self.server = grpc.aio.server()
        self.server.add_generic_rpc_handlers((self,))
        port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()
        return port

    async def end(self):
        await self.server.stop(0)
        await self.channel.close()

    def service(self, details):
        path = details.method
        takes, gives, streams = grpc_types(path)
        metadata = [[name, value if isinstance(value, str) else value.hex()] for name, value in details.invocation_metadata
                    if name not in DULL]

        async def passed(request, context):
            line = {"method": path, "metadata": metadata, "request": shown(takes, request), "responses": [], "status": None}
            self.heard.append(line)
            call = self.channel.unary_stream(path)(request, metadata=[pair for pair in details.invocation_metadata if pair[0] not in DULL])
            try:
                async for answer in call:
                    line["responses"].append(shown(gives, answer))
                    yield answer
                line["status"] = 0
            except grpc.aio.AioRpcError as failure:
                line |= {"status": failure.code().value[0], "details": failure.details(),
                         "trailers": [[name, value if isinstance(value, str) else value.hex()] for name, value in failure.trailing_metadata()]}
                context.set_trailing_metadata(failure.trailing_metadata())
                await context.abort(failure.code(), failure.details())

        async def one(request, context):
            return [answer async for answer in passed(request, context)][0]

        return grpc.unary_stream_rpc_method_handler(passed) if streams else grpc.unary_unary_rpc_method_handler(one)


class Client:
    """One of the client programs, in a session."""

    def __init__(self, command):
        self.process = subprocess.Popen(command + ["session"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    async def do(self, *words):
        return await asyncio.to_thread(self.now, words)

    def now(self, words):
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        said = []
        while (line := json.loads(self.process.stdout.readline()))["event"] != "end":
            said.append(line)
        return said

    def end(self):
        self.process.stdin.close()
        self.process.wait()


async def transcript(who, binding, version, ready):
    """Everything that a client can say in a binding and version, to the server of the same SDK."""
    target = ready["grpc"] if binding == "grpc" else int(ready["url"].rsplit(":", 1)[1])
    tap = GrpcTap(target) if binding == "grpc" else Tap(target)
    port = await tap.start()
    at = f"127.0.0.1:{port}" if binding == "grpc" else f"http://127.0.0.1:{port}{PATHS[binding, version]}"
    client = Client(CLIENTS[who] + ["--url", at, "--direct", "--binding", binding, "--version", version])
    done = []

    async def do(*words):
        before = len(tap.heard)
        said = await client.do(*words)
        for _ in range(200):
            if len(tap.heard) > before:
                break
            await asyncio.sleep(0.01)
        done.extend({"call": list(words)} | one for one in tap.heard[before:])
        return said[-1].get("value", {}) if said else {}

    part = '@{"data": {"n": 1, "f": 0.5}, "metadata": {"m": "x"}}'
    file = '@{"url": "https://files.test/a.txt", "filename": "a.txt", "mediaType": "text/plain"}'
    raw = '@{"raw": "AAEC", "filename": "a.bin", "mediaType": "application/octet-stream"}'
    await do("--extension", "urn:test:one", "--extension", "urn:test:two", "send", "--metadata", '{"k": "v"}', "--history", "1", "--message-id", "m-1",
             "echo é", part, file, raw)
    await do("stream", "--message-id", "m-2", "chunks 2 x")
    task = (await do("send", "--message-id", "m-3", "--return-immediately", "hold"))["id"]
    await do("get", task, "--history", "5")
    await do("subscribe", task, "--stop-after", "1")
    await do("push-set", task, "https://hook.test/a", "--config", "c1")
    await do("push-get", task, "--config", "c1")
    await do("push-list", task)
    await do("push-delete", task, "--config", "c1")
    await do("list", "--page-size", "1", "--status", "TASK_STATE_WORKING", "--artifacts")
    await do("cancel", task)
    asked = await do("send", "--message-id", "m-4", "ask")
    await do("send", "--message-id", "m-5", "--task", asked.get("id", "?"), "--context", asked.get("contextId", "?"), "--reference", task, "answer")
    await do("send", "--message-id", "m-6", "message hey")
    await do("get", "no-such-task")
    await do("extended-card")
    if version == "1.0":
        await do("--tenant", "blue", "send", "--message-id", "m-7", "--push", "https://hook.test/b", "echo hi")
        await do("--tenant", "blue", "get", "no-such-task")
        await do("--tenant", "blue", "list", "--page-size", "1")
        await do("--tenant", "blue", "push-list", "no-such-task")
    client.end()
    if binding == "grpc":
        await tap.end()
    write(f"{who}-{binding}-{version}", {"client": SDKS[who], "server": SDKS[who], "binding": binding, "version": version}, done)


def write(name, head, done):
    lines = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in done]
    text = json.dumps(head, ensure_ascii=False)[:-1] + ', "exchanges": [\n' + ",\n".join(lines) + "\n]}\n"
    (OUT / f"{name}.json").write_text(text, encoding="utf-8")
    print(f"{name:24} {len(done):3} exchanges, {len(text.encode()):6} bytes")


V1, V03 = ("A2A-Version", "1.0"), ("A2A-Version", "0.3")
JSON = ("Content-Type", "application/json")
HELLO = {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "echo hi"}]}}
OLD = {"message": {"kind": "message", "messageId": "m", "role": "user", "parts": [{"kind": "text", "text": "echo hi"}]}}


def rpc(method, params, **more):
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params} | more)


def crafted(task):
    """(what, method, path, headers, body): requests that the clients of the SDKs don't make."""
    hello = json.dumps(HELLO)
    return [
        ("percent-encoded colon", "POST", "/message%3Asend", [V1, JSON], hello),
        ("percent-encoded colon, lower case", "POST", "/message%3astream", [V1, JSON], hello),
        ("the media type of 1.0.1", "POST", "/message:send", [V1, ("Content-Type", "application/a2a+json")], hello),
        ("version by query", "POST", "/message:send?A2A-Version=1.0", [JSON], hello),
        ("no version, 1.0's shape", "POST", "/message:send", [JSON], hello),
        ("a version that there is not", "POST", "/message:send", [("A2A-Version", "7.3"), JSON], hello),
        ("a patch version", "POST", "/message:send", [("A2A-Version", "1.0.1"), JSON], hello),
        ("two versions", "POST", "/message:send", [V1, V03, JSON], hello),
        ("GET subscribe", "GET", f"/tasks/{task}:subscribe", [V1], ""),
        ("POST subscribe", "POST", f"/tasks/{task}:subscribe", [V1], ""),
        ("percent-encoded subscribe", "GET", f"/tasks/{task}%3Asubscribe", [V1], ""),
        ("percent-encoded cancel", "POST", f"/tasks/{task}%3Acancel", [V1, JSON], "{}"),
        ("cancel with another id in the body", "POST", "/tasks/no-such-task:cancel", [V1, JSON], json.dumps({"id": task})),
        ("tenant in the path", "POST", "/blue/message:send", [V1, JSON], hello),
        ("tenants that differ", "POST", "/blue/message:send", [V1, JSON], json.dumps(HELLO | {"tenant": "red"})),
        ("tenant in the query", "GET", "/tasks?tenant=red&pageSize=1", [V1], ""),
        ("an encoded slash in an id", "GET", "/tasks/a%2Fb", [V1], ""),
        ("a trailing slash", "GET", "/tasks/?pageSize=1", [V1], ""),
        ("an unknown verb", "POST", "/tasks/x:explode", [V1, JSON], "{}"),
        ("not JSON", "POST", "/message:send", [V1, JSON], "{"),
        ("no message", "POST", "/message:send", [V1, JSON], "{}"),
        ("another content type", "POST", "/message:send", [V1, ("Content-Type", "text/plain")], hello),
        ("push configs, deleted twice", "DELETE", f"/tasks/{task}/pushNotificationConfigs/none", [V1], ""),
        ("snake case", "POST", "/message:send", [V1, JSON], json.dumps({"message": {"message_id": "m", "role": "ROLE_USER", "parts": [{"text": "x"}], "task_id": "no-such"}})),
        ("both names of one member", "POST", "/message:send", [V1, JSON], json.dumps({"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}], "taskId": "no-such", "task_id": "other"}})),
        ("0.3 REST", "POST", "/v1/message:send", [JSON], json.dumps({"request": {"message_id": "m", "role": "ROLE_USER", "content": [{"text": "echo hi"}]}})),
        ("0.3 REST, a task that there is not", "GET", "/v1/tasks/none", [], ""),
        ("0.3 REST, the card", "GET", "/v1/card", [], ""),
        ("JSON-RPC, an unknown method", "POST", "/rpc", [V1, JSON], rpc("Explode", {})),
        ("JSON-RPC, 0.3's method said to be 1.0", "POST", "/rpc", [V1, JSON], rpc("message/send", OLD)),
        ("JSON-RPC, 1.0's method without a version", "POST", "/rpc", [JSON], rpc("SendMessage", HELLO)),
        ("JSON-RPC, a version that there is not", "POST", "/rpc", [("A2A-Version", "7.3"), JSON], rpc("SendMessage", HELLO)),
        ("JSON-RPC, a task that there is not", "POST", "/rpc", [V1, JSON], rpc("GetTask", {"id": "none"})),
        ("JSON-RPC, 0.3, a task that there is not", "POST", "/rpc", [JSON], rpc("tasks/get", {"id": "none"})),
        ("JSON-RPC, wrong types", "POST", "/rpc", [V1, JSON], rpc("GetTask", {"id": 5})),
        ("JSON-RPC, a batch", "POST", "/rpc", [V1, JSON], "[" + rpc("GetTask", {"id": "none"}) + "]"),
        ("JSON-RPC, no id", "POST", "/rpc", [V1, JSON], json.dumps({"jsonrpc": "2.0", "method": "GetTask", "params": {"id": "none"}})),
        ("JSON-RPC, not JSON", "POST", "/rpc", [V1, JSON], "{"),
        ("JSON-RPC, subscribe to a task that there is not", "POST", "/rpc", [V1, JSON], rpc("SubscribeToTask", {"id": "none"})),
        ("JSON-RPC, a failing stream", "POST", "/rpc", [V1, JSON], rpc("SendStreamingMessage", {"message": {"messageId": "m", "role": "ROLE_USER", "taskId": "none", "parts": [{"text": "x"}]}})),
    ]


async def said(port, method, path, headers, body, whole=False):
    """One request by hand, on a connection of its own; a stream is hung up on after its first event."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = [f"{method} {path} HTTP/1.1", "Host: agent.test", *(f"{name}: {value}" for name, value in headers), "Connection: close"]
    if body or method == "POST":
        head.append(f"Content-Length: {len(body.encode())}")
    writer.write(("\r\n".join(head) + "\r\n\r\n" + body).encode())
    down = b""
    while part := await asyncio.wait_for(reader.read(65536), 20):
        down += part
        if b"text/event-stream" in down and b"subscribe" in path.encode() and b"data:" in down:
            break
    writer.close()
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target=path, headers=[("host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(down)
    answer, text = client.next_event(), b""
    try:
        while isinstance(event := client.next_event(), h11.Data):
            text += event.data
    except h11.RemoteProtocolError:
        pass
    told = text.decode()
    found = {"status": answer.status_code, "headers": answered(answer.headers.raw_items()), "body": told}
    return found if len(told) <= CUT or whole else found | {"body": told[:CUT], "cut": True}


async def by_hand(who, ready):
    port = int(ready["url"].rsplit(":", 1)[1])
    # The task that some of the requests name.
    held = await said(port, "POST", "/message:send", [V1, JSON], json.dumps(
        {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hold"}]}, "configuration": {"returnImmediately": True}}), whole=True)
    task, done = json.loads(held["body"])["task"]["id"], []
    for what, method, path, headers, body in crafted(task):
        done.append({"what": what, "request": {"method": method, "path": path, "headers": headers, "body": body},
                     "response": await said(port, method, path, headers, body)})
    write(f"crafted-{who}", {"client": "by hand", "server": SDKS[who]}, done)


async def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for who, command in AGENTS.items():
        agent = subprocess.Popen(command + ["--grpc", "--legacy", "--until-stdin-closes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = json.loads(agent.stdout.readline())
        for binding in ("jsonrpc", "rest", "grpc"):
            for version in ("1.0", "0.3"):
                await transcript(who, binding, version, ready)
        await by_hand(who, ready)
        agent.stdin.close()
        agent.wait()


if __name__ == "__main__":
    asyncio.run(main())
