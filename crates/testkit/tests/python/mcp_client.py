"""An ordinary MCP client, made with the official SDK, that is an actor: its certificate is the one of its own socket.

It is told where the gateway is as its argument, and what to do in lines of JSON; what came of each is one line of JSON. With a
directory as a second argument it is a copy, which is no actor and has the files of one:

- {"call": TOOL, "arguments": {…}}     a call with the SDK, over the connection that is kept open
- {"post": BODY, "headers": {…}, "with": FILE}   a request of HTTP, as it is; with the certificate of that file, if any
- {"audience": AUDIENCE}               fetches a JWT-SVID for that
- {"rotations": N}                     opens connections until the gateway has shown so many certificates, and none may fail
"""

import asyncio
import json
import os
import ssl
import sys
import tempfile
import time

import httpx2
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from spiffe import WorkloadApiClient

URL = sys.argv[1]
COPY = sys.argv[2:]
os.chdir(COPY[0] if COPY else tempfile.mkdtemp(dir=os.getcwd()))
ROTATIONS_SECS_MAX = 50
HANDSHAKE_EVERY_SECS = 0.02


class Actor:
    """Files with what its socket gives."""

    def __init__(self):
        if COPY:
            self.spiffe_id = "a copy"
            return
        with WorkloadApiClient() as api:
            svid = api.fetch_x509_svid()
            bundle = api.fetch_x509_bundles().get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
        self.spiffe_id = str(svid.spiffe_id)
        key = svid.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in svid.cert_chain)
        roots = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in bundle.x509_authorities)
        for name, content in (("client.pem", chain + key), ("roots.pem", roots)):
            with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)

    def context(self, chain):
        """TLS that believes the trust domain's bundle; SPIFFE IDs are not host names."""
        context = ssl.create_default_context(cafile="roots.pem")
        context.check_hostname = False
        if chain:
            context.load_cert_chain(chain)
        return context


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
    try:
        body = answer.json()
    except ValueError:
        body = answer.text
    return {"status": answer.status_code, "body": body}


async def rotations(actor, count):
    """The handshakes that were made, and how many certificates they showed."""
    host, port = URL.split("/")[2].split(":")
    shown, handshakes, until = set(), 0, time.monotonic() + ROTATIONS_SECS_MAX
    while len(shown) <= count and time.monotonic() < until:
        _, writer = await asyncio.open_connection(host, int(port), ssl=actor.context("client.pem"))
        shown.add(writer.get_extra_info("ssl_object").getpeercert()["serialNumber"])
        handshakes += 1
        writer.close()
        await asyncio.sleep(HANDSHAKE_EVERY_SECS)
    return {"shown": len(shown), "handshakes": handshakes}


async def next_line():
    return await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def say(what):
    print(json.dumps(what), flush=True)


async def main(actor):
    async with httpx2.AsyncClient(verify=actor.context("client.pem"), timeout=30) as http:
        async with Client(streamable_http_client(URL, http_client=http)) as session:
            tools = [tool.name for tool in (await session.list_tools()).tools]
            say({"opened": actor.spiffe_id, "tools": tools, "files": os.getcwd()})
            while line := await next_line():
                asked = json.loads(line)
                if "call" in asked:
                    say(await call(session, asked))
                elif "post" in asked:
                    say(await post(actor, asked))
                elif "audience" in asked:
                    with WorkloadApiClient() as api:
                        say({"token": api.fetch_jwt_svid({asked["audience"]}).token})
                elif "rotations" in asked:
                    say(await rotations(actor, asked["rotations"]))


asyncio.run(main(Actor()))
