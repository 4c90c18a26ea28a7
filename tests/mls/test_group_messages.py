"""Every structure on the wire encodes to what it was decoded from: the official vectors (RFC 9420 §6)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.vectors import load_vectors

from starling.protocol.errors import DecodeError, Unsupported
from starling.protocol.mls.commit import Commit
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import (
    PROPOSALS,
    Add,
    AppDataUpdate,
    AppDataUpdateOperation,
    AppEphemeral,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ReInit,
    Remove,
    Update,
)
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.welcome import GroupSecrets
from starling.protocol.mls.wire_format import WireFormat

_MESSAGES = {
    "mls_welcome": WireFormat.MLS_WELCOME,
    "mls_group_info": WireFormat.MLS_GROUP_INFO,
    "mls_key_package": WireFormat.MLS_KEY_PACKAGE,
    "public_message_application": WireFormat.MLS_PUBLIC_MESSAGE,
    "public_message_proposal": WireFormat.MLS_PUBLIC_MESSAGE,
    "public_message_commit": WireFormat.MLS_PUBLIC_MESSAGE,
    "private_message": WireFormat.MLS_PRIVATE_MESSAGE,
}
_PROPOSALS: dict[str, type[Proposal]] = {
    "add_proposal": Add,
    "update_proposal": Update,
    "remove_proposal": Remove,
    "pre_shared_key_proposal": PreSharedKey,
    "re_init_proposal": ReInit,
    "external_init_proposal": ExternalInit,
    "group_context_extensions_proposal": GroupContextExtensions,
}
_STRUCTS: dict[str, Callable[[bytes], bytes]] = {
    "ratchet_tree": lambda data: RatchetTree.decode(data).encode(),
    "group_secrets": lambda data: GroupSecrets.decode(data).encode(),
    "commit": lambda data: Commit.decode(data).encode(),
}


def test_message_vectors() -> None:
    vectors = load_vectors("mls/messages.json")
    assert vectors
    for vector in vectors:
        assert set(vector) == {*_MESSAGES, *_PROPOSALS, *_STRUCTS}
        for name, value in vector.items():
            data = bytes.fromhex(value)
            if name in _MESSAGES:
                message = MLSMessage.decode(data)
                assert message.wire_format == _MESSAGES[name]
                assert message.encode() == data
            elif name in _PROPOSALS:
                proposal = _PROPOSALS[name].decode(data)
                assert proposal.encode() == data
                assert PROPOSALS.decode(PROPOSALS.encode(proposal)) == proposal
            else:
                assert _STRUCTS[name](data) == data


def test_a_cut_or_longer_message_does_not_decode() -> None:
    vector = load_vectors("mls/messages.json")[0]
    for name in _MESSAGES:
        data = bytes.fromhex(vector[name])
        for end in {*range(0, len(data), 97), len(data) - 1}:
            with pytest.raises((DecodeError, Unsupported)):
                MLSMessage.decode(data[:end])
        with pytest.raises(DecodeError):
            MLSMessage.decode(data + b"\x00")


@pytest.mark.parametrize("head", ["00000001", "00020001", "00010000", "00010007", "0001f000"])
def test_other_versions_and_wire_formats_are_unsupported(head: str) -> None:
    with pytest.raises(Unsupported):
        MLSMessage.decode(bytes.fromhex(head) + bytes(40))


def test_component_proposals() -> None:
    update = AppDataUpdate(0x8001, AppDataUpdateOperation.UPDATE, b"new")
    assert PROPOSALS.encode(update).hex() == "0008800101036e6577"
    remove = AppDataUpdate(0x8001, AppDataUpdateOperation.REMOVE)
    assert PROPOSALS.encode(remove).hex() == "0008800102"
    ephemeral = AppEphemeral(0x8002, b"x")
    assert PROPOSALS.encode(ephemeral).hex() == "000980020178"
    for proposal in (update, remove, ephemeral):
        assert PROPOSALS.decode(PROPOSALS.encode(proposal)) == proposal
    for operation in ("00", "03"):
        with pytest.raises(DecodeError):
            PROPOSALS.decode(bytes.fromhex("00088001" + operation))
    with pytest.raises(Unsupported):
        PROPOSALS.decode(bytes.fromhex("f0ff00"))
