"""What outsiders and members can send to a group with forks: it is refused, and changes nothing."""

from __future__ import annotations

import random as randoms
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.decentralized.forked_members import NOW, gather, opened
from tests.mls.group_members import refused

from starling.protocol.decentralized.dmls_message import wrap
from starling.protocol.decentralized.fork_rules import ForkRule
from starling.protocol.decentralized.lineage import LINEAGE, Ancestor, Lineage, read_lineage
from starling.protocol.decentralized.live_epoch import MAX_OPENED
from starling.protocol.errors import Pending, ProtocolError, Unsupported
from starling.protocol.mls import Add, Extension, PreSharedKey, PreSharedKeyID, Rule, WireFormat
from starling.protocol.mls.protection import protect_handshake


def test_what_is_garbled_on_the_way_changes_nothing() -> None:
    alice, bob, carol = gather(3)
    text = alice.say(b"text")
    messages = [
        text,
        alice.commit().message,
        bob.commit(wire_format=WireFormat.MLS_PUBLIC_MESSAGE).message,
    ]
    before = carol.forked.save().forks
    choose = randoms.Random(7)
    for message in messages:
        for _ in range(60):
            garbled = bytearray(message)
            garbled[choose.randrange(len(garbled))] ^= 1 << choose.randrange(8)
            with pytest.raises((ProtocolError, Pending, Unsupported)):
                carol.forked.receive(bytes(garbled), now=NOW)
            assert carol.forked.save().forks == before
    # Nothing was consumed either.
    for message in messages:
        carol.get(message)
    assert carol.read == [b"text"] and len(carol.forked.heads) == 2


def test_a_commit_with_a_wrong_tag_punctures_nothing() -> None:
    alice, bob = gather(2)
    group = alice.forked.group
    made = group.commit(wire_format=WireFormat.MLS_PUBLIC_MESSAGE, random=alice.client.random)
    wrong = replace(made.content, auth=replace(made.content.auth, confirmation_tag=bytes(32)))
    message = protect_handshake(group._epoch, wrong, None, 0, alice.client.random)
    parent = bob.forked.head
    assert refused(lambda: bob.forked.receive(wrap(message, parent), now=NOW)) is Rule.CONFIRMATION_TAG
    nodes = bob.forked.group.secrets.init_nodes
    assert nodes is not None and len(nodes.save()) == 1
    assert bob.forked.epochs == (parent,)
    assert bob.forked._epochs.live[parent]._opened == {}
    bob.enter(wrap(made.message, bob.forked.head))


def test_what_waits_is_bounded_for_each_sender_and_holds_up_nobody_else() -> None:
    alice, bob, carol = gather(3)
    group, random = alice.forked.group, alice.client.random
    messages = []
    for number in range(MAX_OPENED + 3):
        psk_id = PreSharedKeyID.external(b"%d" % number, bytes(32))
        made = group.commit([PreSharedKey(psk_id)], psks=lambda _: b"mine alone", random=random)
        messages.append(wrap(made.message, alice.forked.head))
    for message in messages:
        with pytest.raises(Pending):
            carol.get(message)
    assert len(carol.forked._epochs.live[carol.forked.head]._opened) == MAX_OPENED
    carol.enter(bob.commit().message)
    carol.enter(messages[-1], psks=lambda _: b"mine alone")


@pytest.mark.parametrize(
    "change",
    [
        lambda line: [*line[:2], replace(line[2], confirmation_tag=bytes(32)), *line[3:]],
        lambda line: [*line[:2], replace(line[2], dmls_epoch=b"x" * 32), *line[3:]],
    ],
    ids=["another tag", "another parent"],
)
def test_a_welcome_cannot_rewrite_what_is_known(
    change: Callable[[tuple[Ancestor, ...]], list[Ancestor]],
) -> None:
    alice, bob, carol = gather(3)
    for _ in range(2):
        made = alice.commit()
        for member in (bob, carol):
            member.enter(made.message)
    removal = alice.remove(carol)
    carol.get(removal.message)
    bob.enter(removal.message)
    bundle = carol.client.bundle()
    told = read_lineage(alice.forked.group_info(), 32)
    extension = Extension(LINEAGE, Lineage(tuple(change(told))).encode())
    adding = alice.forked.group.commit(
        [Add(bundle.key_package)], group_info_extensions=(extension,), random=alice.client.random
    )
    assert adding.welcome is not None
    before = carol.forked.save()
    welcome = opened(adding.welcome)
    key = carol.client.signature_private_key
    assert refused(lambda: carol.forked.rejoin(welcome, bundle, key, now=NOW)) is ForkRule.LINEAGE
    assert carol.forked.save() == before
