"""Joining all send groups of a universe: N groups of the same N members, each made by another of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from bench.mls.scenario import Client
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.leaf_verification import LeafVerification
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import Add
from starling.protocol.mls.welcome import Welcome

THREADS = 2


class _Rules(GroupRules):
    def __init__(self, verification: LeafVerification) -> None:
        self.leaf_verification = verification


def measure(size: int) -> dict[str, Any]:
    """Milliseconds to join all groups of a universe of this size, and one group, in several ways."""
    clients = [Client(f"client {index}") for index in range(size - 1)]
    newcomer = Client("newcomer")
    welcomes = []
    for creator in clients:
        others = [client for client in (*clients, newcomer) if client is not creator]
        adds = [Add(client.bundle.key_package) for client in others]
        made = creator.create(os.urandom(16)).commit(adds, random=os.urandom)
        assert made.welcome is not None
        welcomes.append(made.welcome)

    def join_all(way: Callable[[], LeafVerification]) -> list[Group]:
        verification = way()
        return [_joined(newcomer, welcome, _Rules(verification)) for welcome in welcomes]

    with ThreadPoolExecutor(THREADS) as pool:
        ways: dict[str, Callable[[], LeafVerification]] = {
            "anew": LeafVerification,
            "remembered": lambda: LeafVerification(remembered=size),
            "two threads": lambda: LeafVerification(parallel_map=pool.map),
        }
        return {
            "size": size,
            **{name: _milliseconds(partial(join_all, way)) for name, way in ways.items()},
        }


def _joined(client: Client, welcome: bytes, rules: GroupRules) -> Group:
    body = MLSMessage.decode(welcome).body
    assert isinstance(body, Welcome)
    return Group.join(body, client.bundle, client.signature_private_key, rules=rules)[0]


def _milliseconds(operation: Callable[[], Any]) -> float:
    """By the clock: threads share the work."""
    began = time.perf_counter()
    operation()
    return 1000 * (time.perf_counter() - began)


def rows(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    size = found["size"]
    figure = ", ".join(f"{name} {found[name]:.0f} ms" for name in ("anew", "remembered", "two threads"))
    ratio = found["remembered"] / found["anew"]
    return [
        (f"mls join all send groups of a universe, N = {size}", figure, f"remembered {ratio:.2f} of anew")
    ]
