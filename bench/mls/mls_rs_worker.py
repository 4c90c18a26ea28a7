"""mls-rs (Rust) by its Python binding; runs in the peers' environment."""

from __future__ import annotations

from typing import Any

from mls_rs_uniffi import (
    CipherSuite,
    Client,
    CommitOutput,
    Group,
    Message,
    client_config_default,
    generate_signature_keypair,
)

from bench.mls.lines import median_of, serve, timed

_newcomer: list[Client] = []


def _client(name: bytes) -> Client:
    return Client(name, generate_signature_keypair(CipherSuite.CURVE25519_AES128), client_config_default())


def key_package(request: dict[str, Any]) -> dict[str, Any]:
    _newcomer[:] = [_client(b"newcomer")]
    return {"key_package": _newcomer[0].generate_key_package_message().to_bytes().hex()}


def found(request: dict[str, Any]) -> dict[str, Any]:
    packages = [bytes.fromhex(item) for item in request["key_packages"]]
    group = _client(b"founder").create_group(None)
    made, add = timed(lambda: _add(group, packages))
    group.process_incoming_message(made.commit_message)
    _, update = timed(lambda: group.commit().commit_message.to_bytes())
    return {"add": add, "update": update}


def join(request: dict[str, Any]) -> dict[str, Any]:
    encoded = bytes.fromhex(request["welcome"])
    text = bytes(len("x") * 1024)
    group, join_time = timed(lambda: _joined(encoded))
    texts = iter([bytes.fromhex(item) for item in request["texts"]])
    found = {
        "join": join_time,
        "export": median_of(lambda: group.export_secret(b"label", b"context", 32), 50),
        "encrypt": median_of(lambda: group.encrypt_application_message(text).to_bytes(), 20),
        "decrypt": median_of(
            lambda: group.process_incoming_message(Message.from_bytes(next(texts))), len(request["texts"])
        ),
    }
    if request["warm"]:
        # A group holds one pending commit: each of ours is made by the newcomer anew.
        found["update"] = timed(lambda: group.commit().commit_message.to_bytes())[1]
        other = _joined(encoded)
        one = bytes.fromhex(request["key_package"])
        found["add"] = timed(lambda: _add(other, [one]))[1]
        group = _joined(encoded)
    message = bytes.fromhex(request["commit"])
    _, found["process"] = timed(lambda: group.process_incoming_message(Message.from_bytes(message)))
    return found | {"export_after": group.export_secret(b"after", b"", 32).hex()}


def _add(group: Group, packages: list[bytes]) -> CommitOutput:
    made = group.add_members([Message.from_bytes(package) for package in packages])
    made.commit_message.to_bytes()
    made.welcome_message.to_bytes()
    return made


def _joined(encoded: bytes) -> Group:
    return _newcomer[0].join_group(None, Message.from_bytes(encoded)).group


if __name__ == "__main__":
    serve({"key_package": key_package, "found": found, "join": join})
