"""Verifies a JWT-SVID with PyJWT and a JWK set, both from standard input, and prints its claims."""

import json
import sys

import jwt

asked = json.load(sys.stdin)
kid = jwt.get_unverified_header(asked["token"])["kid"]
key = jwt.PyJWKSet.from_dict(asked["jwks"])[kid]
print(json.dumps(jwt.decode(asked["token"], key, algorithms=["ES256"], audience=asked["audience"])))
