"""An ordinary MCP client, made with the official SDK, that is an actor: its certificate is the one of its own socket.

It is told where the gateway is as its argument, and what to do in lines of JSON; what came of each is one line of JSON. With a
directory as a second argument it is a copy, which is no actor and has the files of one:

- {"call": TOOL, "arguments": {…}}     a call with the SDK, over the connection that is kept open
- {"post": BODY, "headers": {…}, "with": FILE}   a request of HTTP, as it is; with the certificate of that file, if any
- {"audience": AUDIENCE}               fetches a JWT-SVID for that
- {"rotations": N}                     opens connections until the gateway has shown so many certificates, and none may fail
"""

import asyncio
import os
import ssl
import sys
import time

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from spiffe import WorkloadApiClient

from actor import Actor, body_of, orders, say

URL = sys.argv[1]
COPY = sys.argv[2] if sys.argv[2:] else None
ROTATIONS_SECS_MAX = 50
HANDSHAKE_EVERY_SECS = 0.02


def error_of(error):
    return {"code": error.code, "message": error.message, "data": error.data}


async def call(session, asked):
    try:
        answer = await session.call_tool(asked["call"], asked.get("arguments", {}))
        return {"text": answer.content[0].text, "is_error": answer.is_error}
    except MCPError as denied:
        return {"error": error_of(denied.error)}


async def post(actor, asked):
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    pairs = list((headers | asked["headers"]).items())
    async with httpx2.AsyncClient(verify=actor.context(asked["with"])) as http:
        try:
            answer = await http.post(URL, content=asked["post"].encode(), headers=pairs)
        except (httpx2.TransportError, ssl.SSLError) as error:
            return {"failed": type(error).__name__}
    return {"status": answer.status_code, "body": body_of(answer)}


async def rotations(actor, count):
    """The handshakes that were made, and how many certificates they showed."""
    host, port = URL.split("/")[2].split(":")
    shown, handshakes, until = set(), 0, time.monotonic() + ROTATIONS_SECS_MAX
    while len(shown) <= count and time.monotonic() < until:
        _, writer = await asyncio.open_connection(host, int(port), ssl=actor.context())
        shown.add(writer.get_extra_info("ssl_object").getpeercert()["serialNumber"])
        handshakes += 1
        writer.close()
        await asyncio.sleep(HANDSHAKE_EVERY_SECS)
    return {"shown": len(shown), "handshakes": handshakes}


async def main(actor):
    async with httpx2.AsyncClient(verify=actor.context(), timeout=30) as http:
        async with Client(streamable_http_client(URL, http_client=http)) as session:
            tools = [tool.name for tool in (await session.list_tools()).tools]
            say({"opened": actor.spiffe_id, "tools": tools, "files": os.getcwd()})
            async for asked in orders():
                if "call" in asked:
                    say(await call(session, asked))
                elif "post" in asked:
                    say(await post(actor, asked))
                elif "audience" in asked:
                    with WorkloadApiClient() as api:
                        say({"token": api.fetch_jwt_svid({asked["audience"]}).token})
                elif "rotations" in asked:
                    say(await rotations(actor, asked["rotations"]))


asyncio.run(main(Actor(COPY)))
