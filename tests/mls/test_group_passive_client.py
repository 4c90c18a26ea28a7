"""A client that only follows: the official scenarios of joining and of handling commits (RFC 9420 §12.4).

Every scenario is followed twice: in memory, and with the group saved and loaded after every step.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.vectors import load_vectors

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group import Group
from starling.protocol.mls.key_package import KeyPackage, KeyPackageBundle
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.psk import PreSharedKeyID, PSKType
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.welcome import Welcome


class PassiveClient:
    """The client of one scenario, with the PSKs that it knows."""

    def __init__(self, vector: dict[str, Any], *, reload: bool) -> None:
        self.reload = reload
        self.external = {
            bytes.fromhex(psk["psk_id"]): bytes.fromhex(psk["psk"]) for psk in vector["external_psks"]
        }
        self.resumption: dict[tuple[bytes, int], bytes] = {}
        suite = cipher_suite(vector["cipher_suite"])
        key_package = MLSMessage.decode(bytes.fromhex(vector["key_package"])).body
        welcome = MLSMessage.decode(bytes.fromhex(vector["welcome"])).body
        assert isinstance(key_package, KeyPackage) and isinstance(welcome, Welcome)
        signature_private_key = bytes.fromhex(vector["signature_priv"])
        leaf = key_package.leaf_node
        assert suite.signature_public_key(signature_private_key) == leaf.signature_key
        bundle = KeyPackageBundle(
            key_package, bytes.fromhex(vector["init_priv"]), bytes.fromhex(vector["encryption_priv"])
        )
        encoded_tree = vector["ratchet_tree"]
        tree = RatchetTree.decode(bytes.fromhex(encoded_tree)) if encoded_tree is not None else None
        group, _ = Group.join(welcome, bundle, signature_private_key, psks=self.psk, ratchet_tree=tree)
        self.enter(group)

    def enter(self, group: Group) -> None:
        if self.reload:
            group = Group.load(group.save(), group.save_ratchets())
        self.group = group
        self.resumption[group.group_id, group.epoch] = group.secrets.resumption_psk

    def psk(self, psk_id: PreSharedKeyID) -> bytes | None:
        if psk_id.psktype == PSKType.RESUMPTION:
            return self.resumption.get((psk_id.psk_group_id or b"", psk_id.psk_epoch or 0))
        return self.external.get(psk_id.psk_id or b"")

    def follow(self, epoch: dict[str, Any]) -> None:
        received: dict[bytes, AuthenticatedContent] = {}
        for proposal in epoch["proposals"]:
            content = self.group.open_handshake(MLSMessage.decode(bytes.fromhex(proposal)))
            assert content.content.proposal is not None
            received[content.reference(self.group.cipher_suite)] = content
        commit = self.group.open_handshake(MLSMessage.decode(bytes.fromhex(epoch["commit"])))
        staged = self.group.stage(commit, psks=self.psk, proposals=received)
        assert staged.next is not None
        assert staged.next.epoch == self.group.epoch + 1
        self.group.supersede(staged.next)
        self.enter(staged.next)
        assert self.group.secrets.epoch_authenticator.hex() == epoch["epoch_authenticator"]


@pytest.mark.parametrize("reload", [False, True], ids=["memory", "saved"])
@pytest.mark.parametrize("name", ["welcome", "handling-commit"])
def test_passive_client_vectors(name: str, reload: bool) -> None:
    for vector in load_vectors(f"mls/passive-client-{name}.json"):
        client = PassiveClient(vector, reload=reload)
        authenticator = client.group.secrets.epoch_authenticator.hex()
        assert authenticator == vector["initial_epoch_authenticator"]
        for epoch in vector["epochs"]:
            client.follow(epoch)
