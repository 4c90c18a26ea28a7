"""DMLSMessage: the MLSMessage and the name of its epoch, and nothing else (PROTOCOL K-13, X-20)."""

from __future__ import annotations

import pytest
from tests.vectors import load_vectors

from starling.protocol.decentralized.dmls_message import (
    SEND_GROUP_FORMATS,
    SHARED_GROUP_FORMATS,
    read_dmls_message,
    wrap,
)
from starling.protocol.errors import DecodeError, Unsupported
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.private_message import PrivateMessage
from starling.protocol.mls.semi_private_message import SemiPrivateMessage
from starling.protocol.mls.wire_format import ContentType

NAME = b"e" * 32
MESSAGE = MLSMessage.of(
    PrivateMessage(b"group", 7, ContentType.APPLICATION, b"aad", b"sender data", b"ciphertext")
).encode()


def test_what_is_wrapped_is_read_again() -> None:
    read = read_dmls_message(wrap(MESSAGE, NAME))
    assert read.message.encode() == MESSAGE
    assert (read.group_id, read.epoch, read.dmls_epoch) == (b"group", 7, NAME)
    assert read.encode() == wrap(MESSAGE, NAME)


@pytest.mark.parametrize("length", [0, 1, 31, 65, 100])
def test_a_name_of_an_impossible_length_is_refused(length: int) -> None:
    with pytest.raises(DecodeError):
        read_dmls_message(wrap(MESSAGE, b"e" * length))


@pytest.mark.parametrize("length", [32, 48, 64])
def test_names_have_the_hash_length_of_any_suite(length: int) -> None:
    assert len(read_dmls_message(wrap(MESSAGE, b"e" * length)).dmls_epoch) == length


def test_trailing_bytes_and_every_truncation_are_refused() -> None:
    whole = wrap(MESSAGE, NAME)
    with pytest.raises(DecodeError):
        read_dmls_message(whole + b"\x00")
    for length in range(len(whole)):
        with pytest.raises((DecodeError, Unsupported)):
            read_dmls_message(whole[:length])


def test_a_length_in_more_bytes_than_it_needs_is_refused() -> None:
    with pytest.raises(DecodeError):
        read_dmls_message(MESSAGE + b"\x40\x20" + NAME)


def test_semi_private_messages_are_wrapped() -> None:
    body = SemiPrivateMessage(
        b"group", 7, ContentType.COMMIT, b"", bytes(32), (), bytes(32), b"sender", b"text"
    )
    whole = wrap(MLSMessage.of(body).encode(), NAME)
    for formats in (SEND_GROUP_FORMATS, SHARED_GROUP_FORMATS):
        read = read_dmls_message(whole, formats)
        assert (read.message.body, read.group_id, read.epoch, read.dmls_epoch) == (body, b"group", 7, NAME)
        assert read.encode() == whole


def test_of_rfc_9420_only_private_messages_are_wrapped() -> None:
    """X-20: send groups have no PublicMessage; here a public, a Welcome, a GroupInfo and a KeyPackage."""
    for vector in load_vectors("mls/messages.json")[:3]:
        for name in ("public_message_application", "mls_welcome", "mls_group_info", "mls_key_package"):
            with pytest.raises((Unsupported, DecodeError)):
                read_dmls_message(wrap(bytes.fromhex(vector[name]), NAME))
        private = bytes.fromhex(vector["private_message"])
        assert read_dmls_message(wrap(private, NAME)).dmls_epoch == NAME


def test_in_groups_with_many_committers_public_messages_are_wrapped_too() -> None:
    """K-13b: nothing else, though."""
    for vector in load_vectors("mls/messages.json")[:3]:
        for name in ("mls_welcome", "mls_group_info", "mls_key_package"):
            with pytest.raises(Unsupported):
                read_dmls_message(wrap(bytes.fromhex(vector[name]), NAME), SHARED_GROUP_FORMATS)
        for name in ("public_message_proposal", "public_message_commit", "private_message"):
            read = read_dmls_message(wrap(bytes.fromhex(vector[name]), NAME), SHARED_GROUP_FORMATS)
            assert read.group_id and read.epoch >= 0 and read.dmls_epoch == NAME
