"""What it costs that an epoch can have several children: evaluating the puncturable PRF, and retaining an epoch.

All times are processor time, the quickest of some runs in each repeat; what is compared takes turns.
"""

from __future__ import annotations

import hmac
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from bench.options import Options
from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.decentralized.key_schedule import PUNCTURED, punctured_extensions
from starling.protocol.decentralized.pprf import PuncturablePRF
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.member import build_key_package
from starling.protocol.distributed.send_group_id import new_send_group_id
from starling.protocol.mls import (
    Add,
    Group,
    GroupRules,
    KeyPackageBundle,
    MLSMessage,
    RatchetTree,
    Welcome,
)

SUITE = cipher_suite(1)
SIZES = (10, 100)
RUNS = 60
EPOCH_RUNS = 5
MOST_RATIO = 1.4
MOST_BYTES = 64 * 1024


class _OneSender(GroupRules):
    retain_sender = 0


KINDS: dict[str, GroupRules] = {"many committers": GroupRules(), "one sender": _OneSender()}


def run(options: Options) -> dict[str, Any]:
    functions = [_functions() for _ in range(options.mls_repeats)]
    epochs: list[dict[str, Any]] = []
    for repeat in range(options.mls_repeats):
        for size in SIZES:
            for kind in KINDS:
                options.say(f"decentralized: repeat {repeat + 1}, {kind}, N = {size}")
                epochs.append({"size": size, "kind": kind} | _epoch(size, KINDS[kind]))
    return {"pprf": functions, "epochs": epochs}


def _functions() -> dict[str, float]:
    """Milliseconds of 512 bare HMACs, of an evaluation of a new function, and of looking at its output."""
    value = os.urandom(SUITE.hash_length)
    ways: dict[str, Callable[[], object]] = {
        "bare": _bare_hmacs,
        "evaluate": lambda: PuncturablePRF.keyed(SUITE, value).evaluate(value),
        "peek": lambda: PuncturablePRF.keyed(SUITE, value).peek(value),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(RUNS):
        for name, way in ways.items():
            best[name] = min(best[name], _milliseconds(way))
    return best


def _bare_hmacs() -> None:
    key, info = bytes(SUITE.hash_length), bytes(30)
    for _ in range(2 * 8 * SUITE.hash_length):
        key = hmac.digest(key, info, SUITE.hash_name)


def _epoch(size: int, rules: GroupRules) -> dict[str, float]:
    """A member of such a group enters a child: milliseconds of each step, and bytes of what is stored of the parent."""
    owner, member = found_group(size, rules)
    record, ratchets = member.save(), member.save_ratchets()
    message = MLSMessage.decode(owner.commit(random=os.urandom).message)
    best = dict.fromkeys(("stage", "puncture", "save"), float("inf"))
    for _ in range(EPOCH_RUNS):
        parent = Group.load(record, ratchets, rules=rules, key_schedule=PUNCTURED)
        began = time.process_time()
        child = parent.stage(parent.open_handshake(message)).next
        assert child is not None
        staged = time.process_time()
        parent.supersede(child, keep_handshake=True)
        punctured = time.process_time()
        stored = len(parent.save()) + len(parent.save_ratchets())
        saved = time.process_time()
        for step, seconds in (
            ("stage", staged - began),
            ("puncture", punctured - staged),
            ("save", saved - punctured),
        ):
            best[step] = min(best[step], 1000 * seconds)
        beyond = stored - _shared_bytes(parent.tree, child.tree)
    return best | {"bytes": stored, "beyond_bytes": beyond}


def _shared_bytes(tree: RatchetTree, child: RatchetTree) -> int:
    """What the nodes take, encoded, that the child's tree has too."""
    pairs = zip(tree.nodes, child.nodes, strict=False)
    return sum(len(node.encode()) for node, other in pairs if node is not None and node == other)


def found_group(size: int, rules: GroupRules) -> tuple[Group, Group]:
    """The groups of the founder and of one member; leaves are as in send groups."""
    keys = [new_member(f"member {index}") for index in range(size)]
    founder, founder_key = keys[0]
    group = Group.create(
        cipher_suite=SUITE,
        group_id=os.urandom(32),
        leaf_node=founder.key_package.leaf_node,
        encryption_private_key=founder.encryption_private_key,
        signature_private_key=founder_key,
        extensions=punctured_extensions(),
        rules=rules,
        key_schedule=PUNCTURED,
        random=os.urandom,
    )
    made = group.commit([Add(bundle.key_package) for bundle, _ in keys[1:]], path=True, random=os.urandom)
    assert made.welcome is not None
    welcome = MLSMessage.decode(made.welcome).body
    assert isinstance(welcome, Welcome)
    bundle, private_key = keys[-1]
    return made.next, Group.join(welcome, bundle, private_key, rules=rules, key_schedule=PUNCTURED)[0]


def new_member(name: str) -> tuple[KeyPackageBundle, bytes]:
    """A member's KeyPackage as in send groups, and its signature private key."""
    private_key, _ = SUITE.signature_generate(os.urandom)
    identity, universe_id = Identity.generate(name, os.urandom), bytes(32)
    bundle = build_key_package(
        identity,
        cipher_suite=SUITE,
        universe_id=universe_id,
        send_group_id=new_send_group_id(universe_id, identity.identity_public_key, os.urandom),
        incarnation=1,
        serial=1,
        signature_private_key=private_key,
        now=time.time_ns() // 1_000_000,
        random=os.urandom,
    )
    return bundle, private_key


def _milliseconds(operation: Callable[[], object]) -> float:
    began = time.process_time()
    operation()
    return 1000 * (time.process_time() - began)


def rows(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    lines = []
    for name, goal in (("evaluate", f"at most {MOST_RATIO}"), ("peek", "")):
        ratios = [repeat[name] / repeat["bare"] for repeat in found["pprf"]]
        milliseconds = statistics.median(repeat[name] for repeat in found["pprf"])
        figure = (
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}), {milliseconds:.2f} ms"
        )
        lines.append((f"PPRF {name}, ratio to 512 bare HMACs", figure, goal))
    for size in SIZES:
        for kind in KINDS:
            mine = [each for each in found["epochs"] if (each["size"], each["kind"]) == (size, kind)]

            def middle(key: str, mine: list[dict[str, Any]] = mine) -> float:
                figure: float = statistics.median(each[key] for each in mine)
                return figure

            goal = f"below {MOST_BYTES // 1024} KiB" if size == max(SIZES) else ""
            beyond, whole = middle("beyond_bytes") / 1024, middle("bytes") / 1024
            figure = f"{beyond:.1f} KiB beyond the child's, {whole:.1f} KiB in all"
            lines.append((f"retained epoch, N = {size}, {kind}", figure, goal))
            figure = ", ".join(f"{step} {middle(step):.2f} ms" for step in ("stage", "puncture", "save"))
            lines.append((f"entering its child, N = {size}, {kind}", figure, ""))
    return lines
