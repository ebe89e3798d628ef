"""An ordinary workload that uses py-spiffe, unmodified: fetches, streams until the identity has changed, and validates.

It says what it saw as one line of JSON, and stays until standard input closes.
"""

import json
import queue
import sys

from cryptography.hazmat.primitives.serialization import Encoding
from spiffe import JwtSvid, WorkloadApiClient

AUDIENCE = "tests"
WAIT_SECS_MAX = 60


def refused(attempt):
    """Whether a validation that must fail does."""
    try:
        attempt()
    except Exception:
        return True
    return False


def pem(certificates):
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)


with WorkloadApiClient() as client:
    svid = client.fetch_x509_svid()
    own = svid.spiffe_id.trust_domain
    authorities = client.fetch_x509_bundles().get_bundle_for_trust_domain(own).x509_authorities
    token = client.fetch_jwt_svid({AUDIENCE})
    keys = client.fetch_jwt_bundles().get_bundle_for_trust_domain(own)

    said = queue.Queue()
    stream = client.stream_x509_contexts(said.put, said.put, retry_connect=False)
    first, second = said.get(timeout=WAIT_SECS_MAX), said.get(timeout=WAIT_SECS_MAX)
    stream.cancel()
    if isinstance(second, Exception):
        raise second

    print(
        json.dumps(
            {
                "spiffe_id": str(svid.spiffe_id),
                "certificates": pem(svid.cert_chain),
                "authorities": pem(authorities),
                "streamed": [pem(context.default_svid.cert_chain) for context in (first, second)],
                "streamed_ids": [str(context.default_svid.spiffe_id) for context in (first, second)],
                "token_of": str(token.spiffe_id),
                "validated_by_endpoint": str(client.validate_jwt_svid(token.token, AUDIENCE).spiffe_id),
                "validated_by_client": str(JwtSvid.parse_and_validate(token.token, keys, {AUDIENCE}).spiffe_id),
                "other_audience_refused": refused(lambda: client.validate_jwt_svid(token.token, "other"))
                and refused(lambda: JwtSvid.parse_and_validate(token.token, keys, {"other"})),
            }
        ),
        flush=True,
    )
    sys.stdin.read()
