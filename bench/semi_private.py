"""What it costs that external receivers read the handshakes: a semi-private path commit against a private one.

Bytes are of the whole MLSMessage. All times are processor time, the quickest of some runs in each repeat; what is
compared takes turns.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from typing import Any

from bench.decentralized import SUITE, new_member
from bench.options import Options
from starling.protocol.decentralized.key_schedule import PUNCTURED, punctured_extensions
from starling.protocol.extensions.external_receivers import (
    EXTERNAL_RECEIVERS,
    ExternalReceiver,
    encode_external_receivers,
)
from starling.protocol.extensions.semi_private import SemiPrivateRules
from starling.protocol.extensions.semi_private_receiver import open_semi_private
from starling.protocol.mls import Add, Credential, Group, MLSMessage, Welcome, WireFormat
from starling.protocol.mls.negotiation import required_extensions
from starling.protocol.mls.semi_private_message import SemiPrivateMessage

SIZES = (10, 50)
RECEIVERS = (0, 1, 3)
"""None: the commit is a PrivateMessage."""

RUNS = 20
STEPS = ("commit", "open", "receive")


class _Rules(SemiPrivateRules):
    retain_sender = 0


def run(options: Options) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    for repeat in range(options.mls_repeats):
        for size in SIZES:
            options.say(f"semi-private: repeat {repeat + 1}, N = {size}")
            keys = [SUITE.hpke_generate(os.urandom) for _ in range(max(RECEIVERS))]
            receivers = [
                (private_key, ExternalReceiver(public_key, Credential.basic(bytes([number]) * 32)))
                for number, (private_key, public_key) in enumerate(keys)
            ]
            ways = {count: _Way(size, receivers[:count]) for count in RECEIVERS}
            for _ in range(RUNS):
                for way in ways.values():
                    way.measure()
            found += [
                {"size": size, "receivers": count, "bytes": way.bytes} | way.best
                for count, way in ways.items()
            ]
    return {"commits": found}


class _Way:
    """One group, whose owner commits again and again in one epoch."""

    def __init__(self, size: int, receivers: Sequence[tuple[bytes, ExternalReceiver]]) -> None:
        self._receivers = receivers
        self._owner, self._member = _found(size, [receiver for _, receiver in receivers])
        self._format = WireFormat.MLS_SEMIPRIVATE_MESSAGE if receivers else WireFormat.MLS_PRIVATE_MESSAGE
        self.best = dict.fromkeys(STEPS, float("inf"))
        self.bytes = 0

    def measure(self) -> None:
        """Milliseconds of making a commit, of a member's opening it, and of a receiver's."""
        began = time.process_time()
        message = self._owner.commit(path=True, wire_format=self._format, random=os.urandom).message
        made = time.process_time()
        decoded = MLSMessage.decode(message)
        self._member.open_handshake(decoded)
        opened = time.process_time()
        body = MLSMessage.decode(message).body
        if isinstance(body, SemiPrivateMessage):
            private_key, receiver = self._receivers[-1]
            open_semi_private(body, receiver, private_key, suite=SUITE)
        received = time.process_time()
        self.bytes = len(message)
        for step, seconds in zip(STEPS, (made - began, opened - made, received - opened), strict=True):
            self.best[step] = min(self.best[step], 1000 * seconds)


def _found(size: int, receivers: Sequence[ExternalReceiver]) -> tuple[Group, Group]:
    """The groups of the founder and of one member; leaves, rules and key schedule are as in send groups."""
    keys = [new_member(f"member {index}") for index in range(size)]
    founder, founder_key = keys[0]
    extensions = required_extensions(
        wire_formats=[WireFormat.MLS_SEMIPRIVATE_MESSAGE],
        data={EXTERNAL_RECEIVERS: encode_external_receivers(receivers)},
    )
    group = Group.create(
        cipher_suite=SUITE,
        group_id=os.urandom(32),
        leaf_node=founder.key_package.leaf_node,
        encryption_private_key=founder.encryption_private_key,
        signature_private_key=founder_key,
        extensions=(*extensions, *punctured_extensions()),
        rules=_Rules(),
        key_schedule=PUNCTURED,
        random=os.urandom,
    )
    wire_format = WireFormat.MLS_SEMIPRIVATE_MESSAGE if receivers else WireFormat.MLS_PRIVATE_MESSAGE
    adds = [Add(bundle.key_package) for bundle, _ in keys[1:]]
    made = group.commit(adds, path=True, wire_format=wire_format, random=os.urandom)
    assert made.welcome is not None
    welcome = MLSMessage.decode(made.welcome).body
    assert isinstance(welcome, Welcome)
    bundle, private_key = keys[-1]
    joined = Group.join(welcome, bundle, private_key, rules=_Rules(), key_schedule=PUNCTURED)
    return made.next, joined[0]


def rows(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    lines = []
    for size in SIZES:
        for count in RECEIVERS:
            mine = [each for each in found["commits"] if (each["size"], each["receivers"]) == (size, count)]
            shown = [f"{mine[0]['bytes']:,} bytes"]
            for step, words in zip(STEPS, ("making", "a member opens", "a receiver opens"), strict=True):
                if step != "receive" or count:
                    shown.append(f"{words} {statistics.median(each[step] for each in mine):.2f} ms")
            kind = f"semi-private, {count} receiver{'s' * (count > 1)}" if count else "private"
            lines.append((f"path commit, N = {size}, {kind}", ", ".join(shown), ""))
    return lines
