"""What the Python agent heard, and whether it may hear it: in front of the SDK, for HTTP and gRPC alike."""

import asyncio
import json
import sys

import jwt
from google.protobuf.json_format import MessageToDict

SECRET = {"authorization", "cookie", "proxy-authorization", "x-api-key"}
IDS = ("messageId", "taskId", "contextId", "tenant", "id", "name")


class Recorder:
    """Appends one JSON line for each request to a file."""

    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8") if path else None

    def write(self, **line):
        if self.file:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()


def shown(headers):
    """Headers as they came, in order; of a secret only its length."""
    return [[name, f"({len(value)} characters)" if name.lower() in SECRET else value] for name, value in headers]


def ids(body):
    """The identifiers that a body names, in its message, its params or at its top."""
    found = {}
    if not isinstance(body, dict):
        return found
    params = body.get("params") if isinstance(body.get("params"), dict) else body
    message = params.get("message") or params.get("request") or {}
    for place in (params, message if isinstance(message, dict) else {}):
        for name in IDS:
            if isinstance(place.get(name), str):
                found[name] = place[name]
    return found


def refusal(arguments, authorization):
    """Why a request may not be heard, or None."""
    if not arguments.audience:
        return None
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return "no bearer token"
    try:
        if arguments.jwks:
            with open(arguments.jwks, encoding="utf-8") as file:
                keys = jwt.PyJWKSet.from_dict(json.load(file))
            kid = jwt.get_unverified_header(token).get("kid")
            key = next((key for key in keys.keys if key.key_id == kid), None)
            if key is None:
                return "the token's key is not known"
            jwt.decode(token, key, algorithms=[key.algorithm_name], audience=arguments.audience)
        else:
            jwt.decode(token, options={"verify_signature": False, "verify_aud": True, "verify_exp": True},
                       audience=arguments.audience)
    except jwt.PyJWTError as failure:
        return f"{type(failure).__name__}: {failure}"
    return None


class Watched:
    """An ASGI application before another: reads the body, records it, checks the token, then lets the other have it."""

    def __init__(self, app, recorder, arguments):
        self.app, self.recorder, self.arguments = app, recorder, arguments

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            part = await receive()
            if part["type"] == "http.disconnect":
                return
            body += part.get("body", b"")
            more = part.get("more_body", False)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        path = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            path += "?" + scope["query_string"].decode("latin-1")
        try:
            parsed = json.loads(body) if body else None
        except ValueError:
            parsed = body.decode("utf-8", "replace")
        is_card = path.startswith("/.well-known/")  # That is for everybody whom TLS lets in.
        refused = None if is_card else refusal(self.arguments, dict(headers).get("authorization"))
        rpc = isinstance(parsed, dict) and "jsonrpc" in parsed
        self.recorder.write(
            binding="JSONRPC" if rpc else "HTTP", method=parsed.get("method") if rpc else scope["method"], path=path,
            headers=shown(headers), body=parsed, ids=ids(parsed), peer=None, refused=refused)
        if refused:
            await send({"type": "http.response.start", "status": 401,
                        "headers": [(b"www-authenticate", b"Bearer"), (b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": refused.encode()})
            return
        given = finished = False

        async def again():
            nonlocal given
            if not given:
                given = True
                return {"type": "http.request", "body": body, "more_body": False}
            event = await receive()
            if event["type"] == "http.disconnect" and not finished:
                print(json.dumps({"gone": path}), flush=True)
            return event

        async def sent(event):
            nonlocal finished
            finished = event["type"] == "http.response.body" and not event.get("more_body", False)
            await send(event)

        await self.app(scope, again, sent)


def grpc_watch(recorder, arguments):
    """The same for gRPC, as an interceptor."""
    import grpc

    class Watch(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation, details):
            handler = await continuation(details)
            if handler is None:
                recorder.write(binding="GRPC", method=details.method, path=details.method,
                               headers=[], body=None, ids={}, peer=None, refused="no such method")
                return None
            metadata = [(name, value if isinstance(value, str) else value.hex())
                        for name, value in details.invocation_metadata]
            refused = refusal(arguments, dict(metadata).get("authorization"))

            def write(request, context):
                body = MessageToDict(request)
                names = context.auth_context().get("x509_subject_alternative_name") or []
                recorder.write(
                    binding="GRPC", method=details.method.rsplit("/", 1)[-1], path=details.method,
                    headers=shown(metadata), body=body, ids=ids(body),
                    peer=[name.decode() for name in names] or None, refused=refused)

            if handler.unary_stream:
                async def stream(request, context):
                    write(request, context)
                    if refused:
                        await context.abort(grpc.StatusCode.UNAUTHENTICATED, refused)
                    try:
                        async for event in handler.unary_stream(request, context):
                            yield event
                    finally:  # The SDK may swallow that its task is cancelled.
                        task = asyncio.current_task()
                        if sys.exc_info()[0] or (task and task.cancelling()):
                            print(json.dumps({"gone": details.method}), flush=True)
                return grpc.unary_stream_rpc_method_handler(
                    stream, handler.request_deserializer, handler.response_serializer)

            async def unary(request, context):
                write(request, context)
                if refused:
                    await context.abort(grpc.StatusCode.UNAUTHENTICATED, refused)
                return await handler.unary_unary(request, context)
            return grpc.unary_unary_rpc_method_handler(
                unary, handler.request_deserializer, handler.response_serializer)

    return Watch()
