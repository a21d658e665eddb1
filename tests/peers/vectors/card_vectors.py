#!/usr/bin/env python3
"""Makes the vectors of protocol/tests/a2a/cards: agent cards signed by both official SDKs, and what each verifies.

    scripts/setup peers && $SALLYPORT_CACHE/peers/bin/python tests/peers/vectors/card_vectors.py

A vector is a JSON file: {"about", "signer", "card", "canonical", "keys", "verdicts", "twin"}. `card` is what goes over
the wire, `canonical` the bytes that were signed (as text), `keys` the public JWKs, `twin` the members of the card that differ
in its twin, which has one byte changed (null: the twin lacks the member). `verdicts` says who accepts the card: a2a-sdk, @a2a-js/sdk given the card's JSON, and @a2a-js/sdk given
the card as its own resolver reads it; `twin_verdicts` who accepts the twin. Signatures differ from run to run.
"""

import base64
import copy
import json
import logging
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import jwt
from a2a.client.card_resolver import parse_agent_card
from a2a.server.request_handlers.response_helpers import agent_card_to_dict
from a2a.utils import signing
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from google.protobuf.json_format import MessageToDict

HERE = Path(__file__).parent
OUT = HERE.parents[2] / "protocol/tests/a2a/cards"
BASE = {
    "name": "Test agent", "description": "An agent", "version": "1.0.0",
    "supportedInterfaces": [{"url": "https://agent.test/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
    "capabilities": {"streaming": True}, "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
    "skills": [{"id": "s", "name": "S", "description": "D", "tags": ["t"]}],
}


def b64(number, size):
    return base64.urlsafe_b64encode(number.to_bytes(size, "big")).rstrip(b"=").decode()


def es256(kid):
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_numbers()
    public = {"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "use": "sig", "x": b64(point.x, 32), "y": b64(point.y, 32)}
    return public | {"d": b64(key.private_numbers().private_value, 32)}, public


def eddsa(kid):
    key = ed25519.Ed25519PrivateKey.generate()
    raw = serialization.Encoding.Raw
    private = key.private_bytes(raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    public = key.public_key().public_bytes(raw, serialization.PublicFormat.Raw)
    jwk = {"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "use": "sig",
           "x": base64.urlsafe_b64encode(public).rstrip(b"=").decode()}
    return jwk | {"d": base64.urlsafe_b64encode(private).rstrip(b"=").decode()}, jwk


class JavaScript:
    """The other SDK, in a process of its own."""

    def __init__(self):
        self.process = subprocess.Popen(["node", str(HERE / "card_vectors.mjs")], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, **job):
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def python_sign(card, key, header, unprotected=None):
    """Signs by a2a-sdk; its canonicalizer is listened to."""
    heard = []
    inner = signing._canonicalize_agent_card
    signing._canonicalize_agent_card = lambda one: heard.append(inner(one)) or heard[-1]
    try:
        signing.create_agent_card_signer(jwt.PyJWK(key), header, unprotected)(card)
    finally:
        signing._canonicalize_agent_card = inner
    return heard[0]


def python_verify(card, keys):
    """Whether a2a-sdk accepts the card as it came, and what it signed for it."""
    known = {key["kid"]: jwt.PyJWK(key) for key in keys}

    def key_of(kid, _jku):
        if kid not in known:
            raise jwt.PyJWTError("no such key")
        return known[kid]

    try:
        parsed = parse_agent_card(copy.deepcopy(card))
    except Exception as failure:
        return {"ok": False, "canonical": None, "why": f"{type(failure).__name__}: {failure}"}
    try:
        canonical = signing._canonicalize_agent_card(parsed)
        signing.create_signature_verifier(key_of, ["ES256", "EdDSA"])(parsed)
    except Exception as failure:
        return {"ok": False, "canonical": None, "why": f"{type(failure).__name__}: {failure}"}
    return {"ok": True, "canonical": canonical}


def verdicts(js, card, keys):
    found = {"a2a-sdk": python_verify(card, keys), "a2a-js": js.ask(do="verify", card=card, keys=keys, typed=False),
             "a2a-js typed": js.ask(do="verify", card=card, keys=keys, typed=True)}
    return found


def twin_of(card, change):
    member, before, after = change
    text = json.dumps(card[member], ensure_ascii=False)
    assert before in text, (member, before, text)
    return card | {member: json.loads(text.replace(before, after, 1))}


def without(card, *members):
    return {name: value for name, value in card.items() if name not in members}


def write(js, name, about, signer, card, canonical, keys, change):
    """Writes one vector with its verdicts, and a line to look at."""
    twin = change if isinstance(change, dict) else twin_of(card, change) if change else None
    seen = verdicts(js, card, keys)
    vector = {"about": about, "signer": signer, "card": card, "canonical": canonical, "keys": keys,
              "verdicts": {who: one["ok"] for who, one in seen.items()}}
    if twin is not None:
        changed = {member: twin.get(member) for member in card if twin.get(member) != card[member]}
        vector |= {"twin": changed, "twin_verdicts": {who: one["ok"] for who, one in verdicts(js, twin, keys).items()}}
    different = {who: one["canonical"] for who, one in seen.items() if one["canonical"] not in (None, canonical)}
    lines = [f" {json.dumps(member)}: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}" for member, value in vector.items()]
    (OUT / f"{name}.json").write_bytes(("{\n" + ",\n".join(lines) + "\n}\n").encode("utf-8", "surrogatepass"))
    print(f"{name:32} {vector['verdicts']} twin {vector.get('twin_verdicts')}",
          *(f"\n    {who} canonicalises differently" for who in different),
          *(f"\n    {who}: {one.get('why')}" for who, one in seen.items() if not one["ok"]))


def header_of(key, **more):
    return {"alg": key["alg"], "kid": key["kid"], "typ": "JOSE"} | more


def main():
    logging.disable(logging.WARNING)
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.glob("*.json"):
        old.unlink()
    js = JavaScript()
    (ec_key, ec_public), (ed_key, ed_public) = es256("es-1"), eddsa("ed-1")
    inputs = json.loads((HERE / "card_inputs.json").read_text(encoding="utf-8"))
    for name, one in inputs.items():
        about, change = one.get("about", "A card with what a card must have."), one["change"]
        more = {"jku": one["jku"]} if "jku" in one else {}
        card = BASE | one["card"]
        for key, public, alg in ((ec_key, ec_public, "es256"), (ed_key, ed_public, "eddsa")):
            if alg == "eddsa" and name not in ("minimal", "extended"):
                continue
            header = header_of(key, **more)
            message = parse_agent_card(copy.deepcopy(card))
            canonical = python_sign(message, key, header)
            wire = MessageToDict(message)
            write(js, f"python-{name}-{alg}", about, "a2a-sdk 1.3.0", wire, canonical, [public], change)
            signed = js.ask(do="sign", card=card, key=key, header=header, typed=False)
            write(js, f"js-{name}-{alg}", about, "@a2a-js/sdk 1.3.0", signed["card"], signed["canonical"], [public], change)
            if alg == "es256" and name in ("defaults", "security"):
                signed = js.ask(do="sign", card=card, key=key, header=header, typed=True)
                what = about + " Signed and sent as the SDK's own types, as its server does."
                if name == "security":
                    what += " The schemes are lost from what is signed, and their form on the wire is not A2A's."
                    write(js, f"js-{name}-typed-{alg}", what, "@a2a-js/sdk 1.3.0", signed["card"], signed["canonical"], [public],
                          ["description", "An agent", "an agent"])
                else:
                    write(js, f"js-{name}-typed-{alg}", what, "@a2a-js/sdk 1.3.0", signed["card"], signed["canonical"], [public], change)
    special(js, ec_key, ec_public, ed_key, ed_public)
    served(js, ec_key, ec_public)


def served(js, key, public):
    """Cards as the two servers send them, to a client of 1.0 and to one that names no version (0.3)."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(key, file)
        file.flush()
        flags = ["--legacy", "--sign-key", file.name, "--jku", "https://agent.test/keys.json", "--public-url",
                 "https://agent.test", "--until-stdin-closes"]
        for name, command in (("python", [sys.executable, str(HERE.parent / "python/a2a_agent.py")]),
                              ("js", ["node", str(HERE.parent / "node/a2a_agent.mjs"), "--port", "0"])):
            if name == "python":
                command += ["--port", str(free_port())]
            else:
                command[-1] = str(free_port())
            port = command[-1]
            agent = subprocess.Popen(command + flags, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            agent.stdout.readline()
            cards = {version: httpx.get(f"http://127.0.0.1:{port}/.well-known/agent-card.json", trust_env=False,
                                        headers={"A2A-Version": version} if version == "1.0" else {}).json()
                     for version in ("1.0", "0.3")}
            agent.stdin.close()
            agent.wait()
            canonical = signing._canonicalize_agent_card(parse_agent_card(copy.deepcopy(cards["1.0"])))
            for version, card in cards.items():
                write(js, f"served-{name}-{version}", f"A card as that SDK's server, with 0.3 switched on, sends it to a client of {version}.",
                      "a2a-sdk 1.3.0" if name == "python" else "@a2a-js/sdk 1.3.0", card, canonical, [public],
                      ["description", "An agent", "an agent"])


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def special(js, ec_key, ec_public, ed_key, ed_public):
    """What is about the signature rather than the content."""
    change = ["description", "An agent", "an agent"]

    def signed(header, key=ec_key, unprotected=None, card=BASE):
        message = parse_agent_card(copy.deepcopy(card))
        canonical = python_sign(message, key, header, unprotected)
        return MessageToDict(message), canonical

    python, canonical = signed(header_of(ec_key))
    both = js.ask(do="sign", card=python, key=ed_key, header=header_of(ed_key), typed=False)
    write(js, "several-both-good", "Two signatures, one by each SDK, both good.", "both", both["card"], canonical,
          [ec_public, ed_public], change)
    write(js, "several-second-known", "Two signatures; only the second one's key is known.", "both", both["card"], canonical,
          [ed_public], change)
    spoiled = copy.deepcopy(both["card"])
    spoiled["signatures"][0]["signature"] = spoiled["signatures"][1]["signature"]
    write(js, "several-first-bad", "Two signatures; the first is wrong: both SDKs go on to the next.", "both", spoiled, canonical,
          [ec_public, ed_public], change)
    none = copy.deepcopy(both["card"]) | {"signatures": []}
    write(js, "signatures-none", "No signature at all.", "nobody", none, canonical, [ec_public], None)

    card, canonical = signed(header_of(ec_key), unprotected={"note": "not protected", "n": 1})
    write(js, "header-unprotected", "An unprotected header beside the protected one: nothing in it is signed.", "a2a-sdk 1.3.0",
          card, canonical, [ec_public], change)
    card, canonical = signed(header_of(ec_key) | {"typ": ""})
    write(js, "header-without-typ", "No typ in the protected header: @a2a-js/sdk refuses it.", "a2a-sdk 1.3.0", card, canonical,
          [ec_public], change)
    card, canonical = signed({"alg": "ES256", "typ": "JOSE"})
    write(js, "header-without-kid", "No kid in the protected header: @a2a-js/sdk refuses it.", "a2a-sdk 1.3.0", card, canonical,
          [ec_public], change)
    card, canonical = signed(header_of(ec_key, crit=["exp"], exp=1))
    write(js, "header-crit-unknown", "A critical header parameter that nobody knows.", "a2a-sdk 1.3.0", card, canonical,
          [ec_public], change)

    card, canonical = signed(header_of(ec_key))
    write(js, "wire-unknown-member", "Members that A2A does not know, added after signing: they are not signed, so whoever keeps "
          "them keeps what nobody vouches for.", "a2a-sdk 1.3.0", card | {"xExtra": {"a": 1}}, canonical, [ec_public],
          ["xExtra", "1", "2"])
    message = parse_agent_card(copy.deepcopy(BASE | {"supportedInterfaces": [
        *BASE["supportedInterfaces"], {"url": "https://agent.test/old", "protocolBinding": "JSONRPC", "protocolVersion": "0.3"}]}))
    canonical = python_sign(message, ec_key, header_of(ec_key))
    write(js, "wire-with-0.3-members", "A card as a2a-sdk's server sends it when it speaks 0.3 too: 0.3's members (url, "
          "preferredTransport, protocolVersion) are added and not signed; the twin has another url.", "a2a-sdk 1.3.0",
          agent_card_to_dict(message), canonical, [ec_public], ["url", "agent.test", "agemt.test"])
    card, canonical = signed(header_of(ec_key))
    snake = {"supported_interfaces": [{"url": "https://agent.test/rpc", "protocol_binding": "JSONRPC", "protocol_version": "1.0"}],
             "default_input_modes": ["text/plain"], "default_output_modes": ["text/plain"]}
    kept = {name: value for name, value in card.items() if name not in ("supportedInterfaces", "defaultInputModes", "defaultOutputModes")}
    write(js, "wire-snake-case", "The proto's own names on the wire: both SDKs read them.", "a2a-sdk 1.3.0", kept | snake, canonical,
          [ec_public], ["supported_interfaces", "agent.test", "agemt.test"])
    both_names = card | {"supported_interfaces": [{"url": "https://other.test/rpc", "protocol_binding": "JSONRPC", "protocol_version": "1.0"}]}
    write(js, "wire-both-names", "One member under both of its names, with two values.", "a2a-sdk 1.3.0", both_names, canonical,
          [ec_public], None)
    named = BASE | {"securitySchemes": {"mtls": {"mtlsSecurityScheme": {}}},
                    "securityRequirements": [{"schemes": {"mtls": {"list": []}}}]}
    plain, canonical = signed(header_of(ec_key), card=named)
    write(js, "unsigned-requirement", "A requirement without scopes, and a scheme that says nothing, are empty and so not signed: the "
          "twin lacks both, and everybody accepts it.", "a2a-sdk 1.3.0", plain, canonical, [ec_public],
          without(plain, "securitySchemes", "securityRequirements"))
    card5, canonical = signed(header_of(ec_key), card=BASE | {"name": "5"})
    write(js, "wire-wrong-type", "A number where a text is due: @a2a-js/sdk makes a text of it.", "a2a-sdk 1.3.0", card5 | {"name": 5},
          canonical, [ec_public], None)
    deep = {}
    for _ in range(106):
        deep = {"a": deep} if deep else {"a": 1}
    nested = BASE | {"capabilities": {"extensions": [{"uri": "urn:test:deep", "params": deep}]}}
    made = js.ask(do="sign", card=nested, key=ec_key, header=header_of(ec_key), typed=False)
    write(js, "deep", "110 containers inside one another: a2a-sdk reads no more than 100.", "@a2a-js/sdk 1.3.0", made["card"],
          made["canonical"], [ec_public], None)
    card, canonical = signed(header_of(ec_key))
    nulls = card | {"provider": None, "documentationUrl": None, "securitySchemes": None, "signatures": card["signatures"]}
    write(js, "wire-nulls", "Members that are null on the wire count as absent.", "a2a-sdk 1.3.0", nulls, canonical, [ec_public], change)


if __name__ == "__main__":
    main()
    sys.exit(0)
