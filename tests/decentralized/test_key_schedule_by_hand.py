"""The key schedule from the wire up, with HKDF by hand: what a member holds and receives gives the child's name.

K-1 to K-7 together: the root's path secret, the confirmation, the child's GroupContext, the PPRF from the parent's
secret, and RFC 9420 from the init secret on. Of the library only HPKE and the decoded structures are used.
"""

from __future__ import annotations

import hmac
from dataclasses import replace

from tests.mls.group_members import Client, found, receive

from starling.protocol.decentralized.key_schedule import DMLS_EPOCH, PUNCTURED, punctured_extensions
from starling.protocol.mls import Add, Group
from starling.protocol.mls.update_path import UpdatePath

SIZE = 32
ZEROS = bytes(SIZE)


def expand_with_label(secret: bytes, label: bytes, context: bytes = b"") -> bytes:
    full = b"MLS 1.0 " + label
    length = len(context).to_bytes(1) if len(context) < 64 else (0x4000 | len(context)).to_bytes(2)
    info = SIZE.to_bytes(2) + bytes([len(full)]) + full + length + context
    return hmac.digest(secret, info + b"\x01", "sha256")


def child_name(
    parent_init_secret: bytes, path_secret: bytes | None, commit_secret: bytes, context: bytes
) -> bytes:
    """The child's dmls_epoch."""
    confirmation = expand_with_label(path_secret or ZEROS, b"conf")
    secret = parent_init_secret
    value = expand_with_label(confirmation, b"child_init", context)
    for bit in f"{int.from_bytes(value):0256b}":
        secret = expand_with_label(secret, b"tree", b"right" if bit == "1" else b"left")
    init_secret = expand_with_label(secret, b"pprf")
    joiner = expand_with_label(hmac.digest(init_secret, commit_secret, "sha256"), b"joiner", context)
    epoch_secret = expand_with_label(hmac.digest(joiner, ZEROS, "sha256"), b"epoch", context)
    return expand_with_label(epoch_secret, b"epoch")


def parent_init_secret(group: Group) -> bytes:
    nodes = group.secrets.init_nodes
    assert nodes is not None
    (root,) = nodes.save()
    return root.secret


def root_path_secret(group: Group, path: UpdatePath, child: Group) -> bytes:
    """What leaf 1 of four opens of a path of leaf 0, and what follows from it for the root (RFC 9420 §7.4)."""
    provisional = replace(child.context, confirmed_transcript_hash=group.context.confirmed_transcript_hash)
    lowest = group.cipher_suite.decrypt_with_label(
        group._epoch.private_tree.keys[2],
        "UpdatePathNode",
        provisional.encode(),
        path.nodes[0].encrypted_path_secret[0],
    )
    assert len(path.nodes) == 2
    return expand_with_label(lowest, b"path")


def test_a_commit_with_a_path() -> None:
    party = found(4, extensions=punctured_extensions(), key_schedule=PUNCTURED)
    owner, member = party.groups[:2]
    made = owner.commit(random=party.clients[0].random)
    child = receive(member, made.message)
    assert made.content.content.commit is not None and made.content.content.commit.path is not None
    secret = root_path_secret(member, made.content.content.commit.path, child)
    commit_secret = expand_with_label(secret, b"path")
    name = child_name(parent_init_secret(member), secret, commit_secret, child.context.encode())
    assert name == child.secrets.extra[DMLS_EPOCH] == made.next.secrets.extra[DMLS_EPOCH]


def test_a_commit_without_a_path_and_the_one_it_adds() -> None:
    """K-3; and K-12: who joins needs neither confirmation nor init secret, and names the epoch alike."""
    party = found(2, extensions=punctured_extensions(), key_schedule=PUNCTURED)
    owner, member = party.groups
    newcomer = Client("newcomer")
    bundle = newcomer.bundle()
    made = owner.commit([Add(bundle.key_package)], path=False, random=party.clients[0].random)
    child = receive(member, made.message)
    name = child_name(parent_init_secret(member), None, ZEROS, child.context.encode())
    assert made.welcome is not None
    joined = newcomer.join(made.welcome, bundle, key_schedule=PUNCTURED)
    assert name == child.secrets.extra[DMLS_EPOCH] == joined.secrets.extra[DMLS_EPOCH]
    assert parent_init_secret(joined) == parent_init_secret(child)


def test_the_first_epoch() -> None:
    """K-11: its epoch_secret is drawn. The schedule by hand needs the same bytes."""
    client = Client("founder")
    drawn: list[bytes] = []
    random = client.random

    def recorded(size: int) -> bytes:
        drawn.append(random(size))
        return drawn[-1]

    client.random = recorded
    group = client.create(extensions=punctured_extensions(), key_schedule=PUNCTURED)
    assert group.secrets.extra[DMLS_EPOCH] == expand_with_label(drawn[-1], b"epoch")
    assert parent_init_secret(group) == expand_with_label(drawn[-1], b"parent_init")


def test_alone_a_path_has_a_secret_all_the_same() -> None:
    """K-4: drawn, since there is nobody to seal it to; two such commits lead to two children."""
    client = Client("alone")
    group = client.create(extensions=punctured_extensions(), key_schedule=PUNCTURED)
    children = [group.commit(random=client.random).next for _ in range(2)]
    assert all(child._epoch.init_input for child in children)
    names = {child.secrets.extra[DMLS_EPOCH] for child in children}
    assert len(names) == 2
    for child in children:
        without = child_name(parent_init_secret(group), None, ZEROS, child.context.encode())
        assert without not in names
