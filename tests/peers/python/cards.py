"""The cards of the Python agent, and how they are signed."""

import json
import ssl

import jwt
from a2a.client.card_resolver import parse_agent_card
from a2a.types import AgentCard


def empty():
    """A card to be filled once the ports are known: the SDK wants one before that."""
    return AgentCard()


def trust(arguments):
    """What a push notification's receiver is verified against, and the agent's certificate for one that asks."""
    if not arguments.client_ca:
        return True
    context = ssl.create_default_context(cafile=arguments.client_ca)
    if arguments.cert:
        context.load_cert_chain(arguments.cert, arguments.key)
    return context


def interfaces(url, grpc_at, tenant, legacy):
    """Where the agent is, in each binding and version."""
    versions = ["1.0", "0.3"] if legacy else ["1.0"]
    found = []
    for version in versions:
        places = [("JSONRPC", f"{url}/rpc"), ("HTTP+JSON", url)]
        if grpc_at:
            places.append(("GRPC", grpc_at))
        for binding, place in places:
            interface = {"url": place, "protocolBinding": binding, "protocolVersion": version}
            if tenant and version == "1.0":
                interface["tenant"] = tenant
            found.append(interface)
    return found


def fill(card, arguments, url, grpc_at, extended):
    """Writes the card, and signs it with each key that there is."""
    skills = [{"id": "echo", "name": "Echo", "description": "Says what it is told.", "tags": ["demo"]}]
    if extended:
        skills.append({"id": "hold", "name": "Hold", "description": "Works until it is cancelled.", "tags": ["private"]})
    described = {
        "name": arguments.name,
        "description": "An agent for tests: the first word of a message says what it does.",
        "supportedInterfaces": interfaces(url, grpc_at, arguments.tenant, arguments.legacy),
        "version": "1.0.0",
        "capabilities": {"streaming": True, "pushNotifications": True, "extendedAgentCard": True},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": skills,
    }
    if arguments.card:
        with open(arguments.card, encoding="utf-8") as file:
            described |= json.load(file)
    card.CopyFrom(parse_agent_card(described))
    for path in arguments.sign_key:
        sign(card, path, arguments.jku)


def sign(card, path, jku):
    """Adds a signature by the private JWK in a file."""
    from a2a.utils.signing import create_agent_card_signer
    with open(path, encoding="utf-8") as file:
        jwk = json.load(file)
    header = {"alg": jwk["alg"], "kid": jwk["kid"], "typ": "JOSE"}
    if jku:
        header["jku"] = jku
    create_agent_card_signer(jwt.PyJWK(jwk), header)(card)
