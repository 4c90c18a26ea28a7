"""What a member can make with its own keys when it does not keep to the rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.engine.small_network import SECOND, Network, Node

from starling.protocol.decentralized.dmls_message import wrap
from starling.protocol.decentralized.key_schedule import PUNCTURED
from starling.protocol.distributed import component_ids
from starling.protocol.distributed.epoch_end import build_epoch_end
from starling.protocol.distributed.head_statement import HeadStatement
from starling.protocol.distributed.key_packages import build_key_packages
from starling.protocol.distributed.send_group_rules import SendGroupRules
from starling.protocol.distributed.wire_formats import handshake_wire_format
from starling.protocol.exchange.frame import CommitFrame, MessageFrame
from starling.protocol.mls.framing import Sender
from starling.protocol.mls.group import Group
from starling.protocol.mls.proposal import AppEphemeral, Proposal
from starling.protocol.mls.safe_aad import EMPTY


def end(node: Node, universe: bytes) -> AppEphemeral:
    """What ends the head epoch of the own group."""
    count, _ = node.group(universe, node).head.application_progress(0)
    return AppEphemeral(component_ids.EPOCH_END, build_epoch_end(count))


def packages(node: Node, universe: bytes) -> AppEphemeral:
    """What a commit with a path brings."""
    return AppEphemeral(
        component_ids.KEY_PACKAGES, build_key_packages(node.universe(universe).bundles.newest())
    )


class NoRules(SendGroupRules):
    """Lets its holder do what others refuse."""

    retain_sender = None

    def check_sender(self, sender: Sender, content_type: int) -> None:
        return

    def check_wire_format(self, *arguments: Any) -> None:
        return

    def check_proposals(self, *arguments: Any, **more: Any) -> None:
        return


def lawless_group(node: Node, universe_id: bytes, owner: Node) -> Group:
    """The head of a group as this member holds it, without the rules of send groups.

    All members know the keys of leaf 0's ratchets, so anybody can encrypt in its name; only not sign.
    """
    state = node.group(universe_id, owner)
    key = state.group_id + state.graph.head
    group = Group.load(
        state.head.save(),
        node.rows["ratchet", key],
        rules=NoRules(universe_id),
        key_schedule=PUNCTURED,
    )
    group._epoch.own_leaf_index = 0
    group._epoch.safe_aad = False
    return group


def forged_message(
    node: Node, universe_id: bytes, owner: Node, data: bytes, *, authenticated_data: bytes = EMPTY
) -> bytes:
    """A message frame by this member in somebody's group, its own included."""
    state = node.group(universe_id, owner)
    message = lawless_group(node, universe_id, owner).protect(
        data, authenticated_data=authenticated_data, random=node.random_source()
    )
    return MessageFrame(wrap(message, state.graph.head)).encode()


def forged_commit(
    node: Node,
    universe_id: bytes,
    owner: Node,
    proposals: Sequence[Proposal],
    *,
    path: bool,
    psks: dict[bytes, bytes] | None = None,
    authenticated_data: bytes = EMPTY,
    wire_format: int | None = None,
) -> bytes:
    """A commit frame by this member with these proposals, its head statement signed by its own key."""
    state = node.group(universe_id, owner)
    group = lawless_group(node, universe_id, owner)
    result = group.commit(
        proposals,
        path=path,
        psks=lambda psk_id: (psks or {}).get(psk_id.psk_id or b""),
        authenticated_data=authenticated_data,
        wire_format=wire_format or handshake_wire_format(group.context.extensions),
        random=node.random_source(),
    )
    statement = HeadStatement.sign(
        node.universe(universe_id).signature_private_key,
        universe_id=universe_id,
        group_id=state.group_id,
        epoch=group.epoch,
        parent_dmls_epoch=state.graph.head,
        commit=result.message + (result.welcome or b""),
    )
    return CommitFrame(
        wrap(result.message, state.graph.head), statement.encode(), result.welcome or b""
    ).encode()


def all_is_well(network: Network, universe: bytes, *nodes: Node) -> None:
    """Everybody still hears everybody."""
    network.run(5 * SECOND)
    for node in nodes:
        node.say(universe, f"still here {node.name} {network.now}")
    network.run(5 * SECOND)
    for node in nodes:
        heard = [text for text in node.texts() if text.startswith("still here")]
        assert len(heard) >= len(nodes) - 1, node.name
