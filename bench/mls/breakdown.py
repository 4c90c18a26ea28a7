"""Where the time of an operation goes: cryptography, hashing, the codec, and the rest (the tree and the checks)."""

from __future__ import annotations

import functools
import gc
import os
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench.mls import starling_worker as worker
from bench.mls.scenario import Client, Population
from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.hpke import Hpke
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.wire import Remembered, Struct

KINDS: dict[str, list[tuple[type, str]]] = {
    "crypto": [
        *((CipherSuite, name) for name in ("sign_with_label", "verify_with_label", "seal", "open")),
        *((CipherSuite, name) for name in ("encrypt_with_label", "decrypt_with_label")),
        *((Hpke, name) for name in ("derive_secret_pair", "derive_key_pair", "check_public_key", "load")),
    ],
    "hashing": [(CipherSuite, name) for name in ("hash", "mac", "extract", "expand")],
    "codec": [
        (RatchetTree, "encode"),
        (RatchetTree, "decode"),
        (MLSMessage, "write"),
        (MLSMessage, "read"),
        (Remembered, "encode"),
        (Struct, "encode"),
        (Struct, "decode"),
    ],
}
"""What is counted as what. Time is counted once, for the innermost."""


class Clock:
    """Milliseconds by kind, of nested calls."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._running = ["rest"]
        self._since = 0.0

    def switch(self) -> None:
        """Book what passed since the last call."""
        now = time.process_time()
        self.spent[self._running[-1]] += 1000 * (now - self._since)
        self._since = now

    def wrap(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.switch()
            self._running.append(kind)
            try:
                return function(*args, **kwargs)
            finally:
                self.switch()
                self._running.pop()

        return counted

    @contextmanager
    def counting(self) -> Iterator[None]:
        held: list[tuple[type, str, Any]] = []
        for kind, methods in KINDS.items():
            for owner, name in methods:
                method = owner.__dict__[name]
                held.append((owner, name, method))
                is_class_method = isinstance(method, classmethod)
                wrapped: Any = self.wrap(kind, method.__func__ if is_class_method else method)
                setattr(owner, name, classmethod(wrapped) if is_class_method else wrapped)
        self._since = time.process_time()
        try:
            yield
        finally:
            self.switch()
            for owner, name, method in held:
                setattr(owner, name, method)


def measure(size: int) -> dict[str, Any]:
    """Milliseconds by operation and kind in a flat group, and the megabytes that a member's group holds."""
    newcomer = Client("newcomer")
    worker.become(newcomer)
    population = Population(size)
    scene = population.flat(newcomer.bundle.key_package)
    packages = [client.key_package() for client in population.clients]
    founder = Client("founder").create(os.urandom(16))
    made = worker.commit(founder, adding=packages)
    group = worker.joined(scene.welcome)
    operations: dict[str, Callable[[], Any]] = {
        "add": lambda: worker.commit(founder, adding=packages),
        "update": lambda: worker.commit(made.next),
        "process": lambda: worker.processed(group, scene.commit),
        "join": lambda: worker.joined(scene.welcome),
    }
    found: dict[str, Any] = {"size": size, "operations": {}}
    for name, operation in operations.items():
        clock = Clock()
        gc.collect()
        with clock.counting():
            operation()
        found["operations"][name] = dict(clock.spent)
    found["megabytes"] = _megabytes(lambda: worker.joined(scene.welcome))
    return found


def _megabytes(make: Callable[[], Any]) -> float:
    gc.collect()
    tracemalloc.start()
    kept = make()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return size / 1e6


def rows(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    size = found["size"]
    lines = []
    for name, spent in found["operations"].items():
        whole = sum(spent.values())
        parts = ", ".join(f"{kind} {spent.get(kind, 0) / whole:.0%}" for kind in (*KINDS, "rest"))
        lines.append((f"mls {name}, flat, N = {size}, where it goes", parts, ""))
    lines.append((f"mls memory of a group, N = {size}", f"{found['megabytes']:.1f} MB", "below 10 MB"))
    return lines
