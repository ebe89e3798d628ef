"""Clients that are actors: with the certificate of their own socket, told what to do in lines of JSON. They answer each with one."""

import asyncio
import json
import os
import ssl
import sys
import tempfile

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from spiffe import WorkloadApiClient


class Actor:
    """Files with what its socket gives, in a directory of its own; or a copy, which has those of another one."""

    def __init__(self, copy_of=None):
        os.chdir(copy_of or tempfile.mkdtemp(dir=os.getcwd()))
        if copy_of:
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

    def context(self, chain="client.pem"):
        """TLS that believes the trust domain's bundle; SPIFFE IDs are not host names."""
        context = ssl.create_default_context(cafile="roots.pem")
        context.check_hostname = False
        if chain:
            context.load_cert_chain(chain)
        return context


async def orders():
    """What it is told, until standard input closes."""
    while line := await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
        yield json.loads(line)


def say(what):
    print(json.dumps(what), flush=True)


def body_of(answer):
    try:
        return answer.json()
    except ValueError:
        return answer.text
