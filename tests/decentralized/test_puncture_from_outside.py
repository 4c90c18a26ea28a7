"""Puncturing, checked from outside: with everything that a node still has of a parent after one child was entered, the
child's init secret cannot be derived, while another child's can.

The thief's code is its own: HKDF by `hmac`, labels and tree by the drafts' texts. It takes each run of 32 bytes that is
stored or in memory for what any of them could be: the parent_init_secret, or any node above the child's leaf.
"""

from __future__ import annotations

import hmac

from tests.decentralized.forked_members import ForkMember, gather
from tests.decentralized.reachable import byte_strings, windows

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.decentralized.dmls_message import read_dmls_message
from starling.protocol.decentralized.forked_group import ForkedGroup
from starling.protocol.decentralized.key_schedule import PUNCTURED
from starling.protocol.mls import key_schedule

SIZE = 32
LEVELS = 8 * SIZE


def expand_with_label(secret: bytes, label: bytes, context: bytes) -> bytes:
    """RFC 9420 §8, one block: a KDFLabel of length 32, and the counter of HKDF-Expand."""
    full = b"MLS 1.0 " + label
    info = SIZE.to_bytes(2) + bytes([len(full)]) + full + bytes([len(context)]) + context
    return hmac.digest(secret, info + b"\x01", "sha256")


def below(secret: bytes, bits: list[int]) -> bytes:
    for bit in bits:
        secret = expand_with_label(secret, b"tree", b"right" if bit else b"left")
    return secret


def path_to(value: bytes) -> list[int]:
    return [value[i // 8] >> (7 - i % 8) & 1 for i in range(LEVELS)]


def stolen(member: ForkMember) -> set[bytes]:
    """All that is stored and all that is in memory, as runs of 32 bytes."""
    saved = member.forked.save()
    in_memory = byte_strings(member.forked)
    return windows([saved.forks, *saved.epochs.values(), *in_memory], SIZE)


def ancestors_of(value: bytes, parent_init_secret: bytes) -> set[bytes]:
    """The secrets from which the output for this input follows: the root, all nodes above its leaf, the leaf, and
    the output itself."""
    secret, found = parent_init_secret, {parent_init_secret}
    for bit in path_to(value):
        secret = below(secret, [bit])
        found.add(secret)
    return found | {expand_with_label(secret, b"pprf", b"")}


def roots_from(secret: bytes, group_context: bytes) -> set[bytes]:
    """The parent_init_secret that follows from a secret, were it the epoch_secret or the joiner_secret."""
    extracted = hmac.digest(secret, bytes(SIZE), "sha256")
    epoch_secret = expand_with_label(extracted, b"epoch", group_context)
    return {expand_with_label(each, b"parent_init", b"") for each in (secret, epoch_secret)}


def outputs_of_nodes(member: ForkMember, parent: bytes, value: bytes) -> list[bytes]:
    """The init secret that follows from each stored PPRF node, taken to lie on the input's path."""
    nodes = member.forked.epoch_group(parent).secrets.init_nodes
    assert nodes is not None
    bits = path_to(value)
    return [expand_with_label(below(node.secret, bits[node.level :]), b"pprf", b"") for node in nodes.save()]


def input_of(member: ForkMember, message: bytes) -> bytes:
    """What the child of a commit is derived with, from a copy of the member that is thrown away."""
    copy = ForkedGroup.load(member.forked.save())
    wrapped = read_dmls_message(message)
    group = copy.epoch_group(wrapped.dmls_epoch)
    staged = group.stage(
        group.open_handshake(wrapped.message), signature_private_key=member.client.signature_private_key
    )
    assert staged.next is not None
    return staged.next._epoch.init_input


def test_what_a_node_still_has_leads_to_the_other_child_alone() -> None:
    alice, bob, carol = gather(3)
    parent = carol.forked.head
    context = carol.forked.group.context.encode()
    nodes = carol.forked.group.secrets.init_nodes
    assert nodes is not None
    (root,) = nodes.save()
    first, second = alice.commit().message, bob.commit().message
    first_input, second_input = input_of(carol, first), input_of(carol, second)
    first_output, second_output = (
        expand_with_label(below(root.secret, path_to(value)), b"pprf", b"")
        for value in (first_input, second_input)
    )
    # Before: the root is there, and leads to both.
    assert root.secret in stolen(carol)
    assert first_output in outputs_of_nodes(carol, parent, first_input)
    assert second_output in outputs_of_nodes(carol, parent, second_input)

    carol.enter(first)
    thief = stolen(carol)
    # Every secret on the way to the first child is gone, wherever it might have been kept, and what led to the root.
    gone = ancestors_of(first_input, root.secret)
    assert len(gone) == LEVELS + 2
    assert not gone & thief
    assert not any(root.secret in roots_from(secret, context) for secret in thief)
    assert first_output not in outputs_of_nodes(carol, parent, first_input)
    # Of the way to the second child what lies below the place where the two part is left.
    assert second_output in outputs_of_nodes(carol, parent, second_input)
    bits = zip(path_to(first_input), path_to(second_input), strict=True)
    parting = next(level for level, (one, other) in enumerate(bits) if one != other)
    assert below(root.secret, path_to(second_input)[: parting + 1]) in thief

    carol.enter(second)
    assert not ancestors_of(second_input, root.secret) & stolen(carol)


def test_the_committer_is_punctured_before_its_commit_is_released() -> None:
    alice, _ = gather(2)
    nodes = alice.forked.group.secrets.init_nodes
    assert nodes is not None
    (root,) = nodes.save()
    alice.forked.commit(random=alice.client.random)
    unreleased = alice.forked._unreleased
    assert unreleased is not None
    gone = ancestors_of(unreleased.made.next._epoch.init_input, root.secret)
    assert root.secret in stolen(alice)
    released = alice.forked.release(alice.now)
    assert not gone & stolen(alice)
    assert released.dmls_epoch == alice.forked.head


def test_the_search_finds_what_is_kept() -> None:
    """The control: the root, the init secret, the epoch secret and the joiner secret would all be seen."""
    suite = cipher_suite(1)
    joiner, context, value = b"j" * SIZE, b"context", bytes(range(SIZE))
    epoch_secret = key_schedule.epoch_secret(suite, joiner, bytes(SIZE), context)
    secrets = PUNCTURED.enter(suite, epoch_secret)
    assert secrets.init_nodes is not None
    (root,) = secrets.init_nodes.save()
    output = PUNCTURED.init_secret(suite, secrets, value)
    assert {root.secret, output} <= ancestors_of(value, root.secret)
    assert root.secret in roots_from(epoch_secret, context) & roots_from(joiner, context)
    kept = {"in a record": b"before" + output + b"after"}
    assert output in windows(byte_strings(kept), SIZE)
    assert root.secret in byte_strings(secrets)
