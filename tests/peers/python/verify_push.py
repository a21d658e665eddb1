#!/usr/bin/env python3
"""Verifies a push notification as its receiver would, with PyJWT.

Standard input is one JSON object: the key set of the gateway ("jwks"), its URL ("issuer"), the receiver's own URL
("audience"), and what came: the signature ("token") and the body ("body"). It prints {"ok": true, "claims": {...}}, or
{"ok": false, "error": "..."}.
"""

import hashlib
import json
import sys

import jwt


def verified(came):
    """The claims of a signature that holds for the body."""
    header = jwt.get_unverified_header(came["token"])
    if header.get("typ") != "a2a-push+jwt":
        raise ValueError("the token is for something else")
    keys = jwt.PyJWKSet.from_dict(came["jwks"])
    claims = jwt.decode(came["token"], keys[header["kid"]], algorithms=["ES256"], issuer=came["issuer"],
                        audience=came["audience"], options={"require": ["exp", "iat", "jti", "aud", "iss"]})
    if claims["request_body_sha256"] != hashlib.sha256(came["body"].encode()).hexdigest():
        raise ValueError("the body is not the one that was signed")
    return claims


def main():
    """Reads, verifies, says so."""
    try:
        print(json.dumps({"ok": True, "claims": verified(json.load(sys.stdin))}))
    except (jwt.PyJWTError, ValueError, KeyError) as failure:
        print(json.dumps({"ok": False, "error": str(failure)}))


if __name__ == "__main__":
    main()
