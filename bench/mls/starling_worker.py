"""This library as one of those that are compared."""

from __future__ import annotations

import os
from typing import Any

from bench.mls.lines import least, median_of, serve
from bench.mls.scenario import TEXT_SIZE, Client
from starling.protocol.mls.group import CommitResult, Group
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import Add
from starling.protocol.mls.welcome import Welcome
from starling.protocol.mls.wire_format import WireFormat

_newcomer: list[Client] = []


def become(client: Client) -> None:
    """From now on this is who joins."""
    _newcomer[:] = [client]


def key_package(request: dict[str, Any]) -> dict[str, Any]:
    become(Client("newcomer"))
    return {"key_package": _newcomer[0].key_package().hex()}


def found(request: dict[str, Any]) -> dict[str, Any]:
    """Create a group, add everybody at once, then update."""
    packages = [bytes.fromhex(item) for item in request["key_packages"]]
    group = Client("founder").create(os.urandom(16))
    made, add = least(request["times"], lambda: commit(group, adding=packages))
    _, update = least(request["times"], lambda: commit(made.next))
    return {"add": add, "update": update}


def join(request: dict[str, Any]) -> dict[str, Any]:
    """Join, then all that a member does; a newcomer who did it before is a new object again."""
    encoded = bytes.fromhex(request["welcome"])
    times = request["times"]
    group, join_time = least(times, lambda: joined(encoded))
    texts = iter([bytes.fromhex(text) for text in request["texts"]])
    found = {
        "join": join_time,
        "export": median_of(lambda: group.export("label", b"context", 32), 50),
        "encrypt": median_of(lambda: group.protect(bytes(TEXT_SIZE), random=os.urandom), 20),
        "decrypt": median_of(lambda: group.unprotect(MLSMessage.decode(next(texts))), len(request["texts"])),
    }
    if request["warm"]:
        found["update"] = least(times, commit, lambda: joined(encoded))[1]
        one = bytes.fromhex(request["key_package"])
        found["add"] = least(times, lambda fresh: commit(fresh, adding=[one]), lambda: joined(encoded))[1]
    message = bytes.fromhex(request["commit"])
    next_group, found["process"] = least(
        times, lambda fresh: processed(fresh, message), lambda: joined(encoded)
    )
    return found | {"export_after": next_group.export("after", b"", 32).hex()}


def commit(group: Group, adding: list[bytes] | None = None) -> CommitResult:
    """Add by key packages as they come from the wire, or update."""
    adds = []
    for encoded in adding or ():
        package = MLSMessage.decode(encoded).body
        assert isinstance(package, KeyPackage)
        adds.append(Add(package))
    return group.commit(adds, path=not adds, wire_format=WireFormat.MLS_PUBLIC_MESSAGE, random=os.urandom)


def joined(encoded: bytes) -> Group:
    welcome = MLSMessage.decode(encoded).body
    assert isinstance(welcome, Welcome)
    client = _newcomer[0]
    return Group.join(welcome, client.bundle, client.signature_private_key)[0]


def processed(group: Group, message: bytes) -> Group:
    staged = group.stage(group.open_handshake(MLSMessage.decode(message)))
    assert staged.next is not None
    return staged.next


if __name__ == "__main__":
    serve({"key_package": key_package, "found": found, "join": join})
