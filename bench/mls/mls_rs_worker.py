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

from bench.mls.lines import least, median_of, serve

_newcomer: list[Client] = []


def _client(name: bytes) -> Client:
    return Client(name, generate_signature_keypair(CipherSuite.CURVE25519_AES128), client_config_default())


def key_package(request: dict[str, Any]) -> dict[str, Any]:
    _newcomer[:] = [_client(b"newcomer")]
    return {"key_package": _newcomer[0].generate_key_package_message().to_bytes().hex()}


def found(request: dict[str, Any]) -> dict[str, Any]:
    packages = [bytes.fromhex(item) for item in request["key_packages"]]
    founder = _client(b"founder")
    groups: list[Any] = []

    def group_with_all() -> Group:
        group, made = groups.pop()
        group.process_incoming_message(made.commit_message)
        return group

    def add_all(group: Group) -> None:
        groups.append((group, _add(group, packages)))

    _, add = least(request["times"], add_all, lambda: founder.create_group(None))
    _, update = least(request["times"], _update, group_with_all)
    return {"add": add, "update": update}


def join(request: dict[str, Any]) -> dict[str, Any]:
    encoded = bytes.fromhex(request["welcome"])
    text = bytes(1024)
    times = request["times"]
    group, join_time = least(times, lambda: _joined(encoded))
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
        one = bytes.fromhex(request["key_package"])
        found["update"] = least(times, _update, lambda: _joined(encoded))[1]
        found["add"] = least(times, lambda fresh: _add(fresh, [one]), lambda: _joined(encoded))[1]
    message = bytes.fromhex(request["commit"])
    after, found["process"] = least(times, lambda fresh: _processed(fresh, message), lambda: _joined(encoded))
    return found | {"export_after": after.export_secret(b"after", b"", 32).hex()}


def _update(group: Group) -> bytes:
    encoded: bytes = group.commit().commit_message.to_bytes()
    return encoded


def _processed(group: Group, message: bytes) -> Group:
    group.process_incoming_message(Message.from_bytes(message))
    return group


def _add(group: Group, packages: list[bytes]) -> CommitOutput:
    made = group.add_members([Message.from_bytes(package) for package in packages])
    made.commit_message.to_bytes()
    made.welcome_message.to_bytes()
    return made


def _joined(encoded: bytes) -> Group:
    return _newcomer[0].join_group(None, Message.from_bytes(encoded)).group


if __name__ == "__main__":
    serve({"key_package": key_package, "found": found, "join": join})
