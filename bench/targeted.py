"""What a message to one member costs: a targeted message, alone and as Starling sends it, against one to all.

All times are processor time, the quickest of some runs in each repeat; what is compared takes turns.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from bench.decentralized import found_group
from bench.options import Options
from starling.protocol.distributed.application import DIRECT, MESSAGE_ID_SIZE, ApplicationData
from starling.protocol.distributed.direct import PROFILE, open_direct, seal_direct
from starling.protocol.extensions.targeted_messages import (
    TargetedRules,
    open_targeted_message,
    seal_targeted_message,
)
from starling.protocol.mls import Group, MLSMessage
from starling.protocol.mls.targeted_message import TargetedMessage

MEMBERS = 10
LENGTHS = (100, 10_000)
RUNS = 60


class _Rules(TargetedRules):
    retain_sender = 0


class _Ways:
    """Each way seals a text to an encoded MLSMessage, and opens it."""

    def __init__(self) -> None:
        self._owner, self._member = found_group(MEMBERS, _Rules())
        self.ways: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
            "to all": (self._seal_to_all, self._open),
            "targeted": (self._seal_targeted, self._open_targeted),
            "direct": (self._seal_direct, self._open_direct),
        }

    def _seal_to_all(self, text: bytes) -> bytes:
        data = ApplicationData("text", os.urandom(MESSAGE_ID_SIZE), (), text)
        return self._owner.protect(data.encode(), random=os.urandom)

    def _open(self, message: bytes) -> bytes:
        return self._data(self._member, message).body

    def _seal_targeted(self, text: bytes) -> bytes:
        index = self._member.own_leaf_index
        sealed = seal_targeted_message(self._owner, PROFILE, index, text, random=os.urandom)
        return MLSMessage.of(sealed).encode()

    def _open_targeted(self, message: bytes) -> bytes:
        body = MLSMessage.decode(message).body
        assert isinstance(body, TargetedMessage)
        return open_targeted_message(self._member, PROFILE, body).application_data

    def _seal_direct(self, text: bytes) -> bytes:
        inner = ApplicationData("text", os.urandom(MESSAGE_ID_SIZE), (), text).encode()
        body = seal_direct(self._owner, self._member.own_leaf_index, inner, os.urandom)
        data = ApplicationData(DIRECT, os.urandom(MESSAGE_ID_SIZE), (), body)
        return self._owner.protect(data.encode(), random=os.urandom)

    def _open_direct(self, message: bytes) -> bytes:
        opened = open_direct(self._member, self._data(self._member, message).body)
        assert opened is not None
        return ApplicationData.decode(opened).body

    @staticmethod
    def _data(group: Group, message: bytes) -> ApplicationData:
        return ApplicationData.decode(group.unprotect(MLSMessage.decode(message)).application_data)


def run(options: Options) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    for repeat in range(options.mls_repeats):
        options.say(f"targeted: repeat {repeat + 1}")
        for length in LENGTHS:
            found += _measure(length)
    return {"messages": found}


def _measure(length: int) -> list[dict[str, Any]]:
    """Milliseconds of sealing and of opening a text of this length, and the bytes of the message, of each way."""
    ways = _Ways().ways
    best = {way: {"seal": float("inf"), "open": float("inf"), "bytes": 0.0} for way in ways}
    text = os.urandom(length)
    for _ in range(RUNS):
        for way, (seal, open_message) in ways.items():
            began = time.process_time()
            message = seal(text)
            sealed = time.process_time()
            assert open_message(message) == text
            opened = time.process_time()
            mine = best[way]
            mine["seal"] = min(mine["seal"], 1000 * (sealed - began))
            mine["open"] = min(mine["open"], 1000 * (opened - sealed))
            mine["bytes"] = len(message)
    return [{"length": length, "way": way} | figures for way, figures in best.items()]


def rows(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    lines = []
    ways = dict.fromkeys(each["way"] for each in found["messages"])
    for length in LENGTHS:
        for way in ways:
            mine = [each for each in found["messages"] if (each["length"], each["way"]) == (length, way)]
            seal, open_ = (statistics.median(each[step] for each in mine) for step in ("seal", "open"))
            figure = f"seal {seal:.2f} ms, open {open_:.2f} ms, {mine[0]['bytes']:,.0f} bytes"
            lines.append((f"message of {length:,} bytes, {way}", figure, ""))
    return lines
