#!/usr/bin/env python3
"""A newcomer's agent: two tool calls through Sallyport that differ in one argument.

The first is allowed, the second is refused. For the refusal it shows three witnesses: what the agent heard,
what the server did not hear, and what the audit kept. A real agent sees only the first; the other two are in
the folder of `sallyport up`.

    . DIR/agent.env
    agents/demo/agent.py DIR

The exit status is 0 when all of that was so.
"""

import asyncio
import json
import os
import ssl
import sys
from pathlib import Path

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

ALLOWED = {"bucket": "demo", "key": "public/hello.txt"}
DENIED = {"bucket": "demo", "key": "private/salary.csv"}  # One argument is another.


def connect():
    """An MCP client that shows the workload's certificate and carries the person's token."""
    tls = ssl.create_default_context(cafile=os.environ["SALLYPORT_CA"])
    tls.load_cert_chain(os.environ["SALLYPORT_CERT"], os.environ["SALLYPORT_KEY"])
    token = {"Authorization": f"Bearer {os.environ['SALLYPORT_TOKEN']}"}
    http = httpx2.AsyncClient(verify=tls, headers=token, trust_env=False)
    return http, Client(streamable_http_client(os.environ["SALLYPORT_URL"] + "/mcp/s3", http_client=http))


class Witnesses:
    """What the server and the audit wrote since the last look, in the folder of `sallyport up`."""

    def __init__(self, folder):
        self.files = {"server": folder / "mcp-s3.log", "audit": folder / "audit.jsonl"}
        self.read = {name: path.stat().st_size for name, path in self.files.items()}

    def new_lines(self, name):
        """The whole lines that were added to a witness's file since the last look."""
        with open(self.files[name], "rb") as file:
            file.seek(self.read[name])
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        self.read[name] += len(whole)
        return whole.decode(errors="replace").splitlines()

    async def calls(self):
        """The calls of get_object since the last look: the lines in the server's log, and the audit records."""
        kept = []
        for _ in range(100):  # A record is written when its answer is gone: a moment after we have it.
            records = [json.loads(line) for line in self.new_lines("audit")]
            kept += [r for r in records if r.get("method") == "tools/call" and "get_object" in str(r.get("target"))]
            if kept:
                break
            await asyncio.sleep(0.05)
        # By now the server has written its line too, if it heard of the call at all.
        return [line for line in self.new_lines("server") if "tools/call" in line and "get_object" in line], kept


def show(heading, text):
    """Prints one line of the story."""
    print(f"  {heading:<28} {text}")


async def main(folder):
    """Makes the two calls and asks the witnesses. Says whether everything was as it should be."""
    witnesses = Witnesses(folder)
    http, client = connect()
    async with http, client:
        tools = await client.list_tools()
        print(f"connected to {os.environ['SALLYPORT_URL']}/mcp/s3, MCP {client.protocol_version}")
        print(f"tools this agent can see: {', '.join(tool.name for tool in tools.tools)}\n")

        print(f"1. get_object {json.dumps(ALLOWED)}")
        result = await client.call_tool("get_object", ALLOWED)
        text = json.dumps(result.structured_content) if result.structured_content else result.content[0].text
        at_server, kept = await witnesses.calls()
        show("the agent heard:", text.strip()[:110])
        show("the server heard:", f"{len(at_server)} call(s)")
        allowed_ok = show_record(kept, "permit") and not result.is_error and len(at_server) == 1

        print(f"\n2. get_object {json.dumps(DENIED)}")
        heard = None
        try:
            await client.call_tool("get_object", DENIED)
        except MCPError as refusal:
            heard = refusal
        at_server, kept = await witnesses.calls()
        show("the agent heard:", f"{heard} (code {heard.code}, {heard.data})" if heard else "no refusal!")
        show("the server heard:", f"{len(at_server)} call(s)!" if at_server else "nothing")
        denied_ok = show_record(kept, "denial") and heard is not None and not at_server

        await client.list_tools()  # The refusal ended nothing: the same session goes on.
        print("\nthe session is still usable after the refusal")
    print("as it should be" if allowed_ok and denied_ok else "NOT as it should be", f"(see {folder})")
    return allowed_ok and denied_ok


def show_record(kept, wanted):
    """Prints the audit record of a call. Says whether it is the only one, with the wanted decision."""
    for record in kept:
        fields = {name: record.get(name) for name in ("seq", "decision", "reason", "caller", "status")}
        fields["subject"] = (record.get("subject") or {}).get("sub")
        show("the audit kept:", ", ".join(f"{name} {value}" for name, value in fields.items() if value is not None))
    if not kept:
        show("the audit kept:", "nothing!")
    return len(kept) == 1 and kept[0].get("decision") == wanted


if __name__ == "__main__":
    if len(sys.argv) != 2 or "SALLYPORT_URL" not in os.environ:
        sys.exit("usage: . DIR/agent.env; agents/demo/agent.py DIR   (DIR is the folder of `sallyport up`)")
    sys.exit(0 if asyncio.run(main(Path(sys.argv[1]))) else 1)
