"""Pre-shared keys (RFC 9420 §8.4; the application type of draft-ietf-mls-extensions-10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.errors import DecodeError, Pending
from starling.protocol.wire import Reader, Struct, When, opaque, uint8, uint16, uint64


class PSKType:
    """Where a PSK comes from."""

    EXTERNAL = 1
    RESUMPTION = 2
    APPLICATION = 3


class ResumptionPSKUsage:
    """What a resumption PSK is used for."""

    APPLICATION = 1
    REINIT = 2
    BRANCH = 3


@dataclass(frozen=True, slots=True)
class PreSharedKeyID(Struct):
    """The name of a PSK and the nonce of this use of it. `psk_nonce` is fresh random, Nh bytes of the
    using group's
    suite. Decoding raises `DecodeError` for an unknown type, since its body has no known length."""

    psktype: uint8
    component_id: Annotated[int | None, When("psktype", PSKType.APPLICATION, of=uint16)]
    psk_id: Annotated[bytes | None, When("psktype", PSKType.EXTERNAL, PSKType.APPLICATION, of=opaque)]
    usage: Annotated[int | None, When("psktype", PSKType.RESUMPTION, of=uint8)]
    psk_group_id: Annotated[bytes | None, When("psktype", PSKType.RESUMPTION, of=opaque)]
    psk_epoch: Annotated[int | None, When("psktype", PSKType.RESUMPTION, of=uint64)]
    psk_nonce: opaque

    @classmethod
    def external(cls, psk_id: bytes, psk_nonce: bytes) -> Self:
        """A PSK that the application provides under `psk_id`."""
        return cls(PSKType.EXTERNAL, None, psk_id, None, None, None, psk_nonce)

    @classmethod
    def resumption(cls, usage: int, psk_group_id: bytes, psk_epoch: int, psk_nonce: bytes) -> Self:
        """The resumption_psk of an epoch of a group."""
        return cls(PSKType.RESUMPTION, None, None, usage, psk_group_id, psk_epoch, psk_nonce)

    @classmethod
    def application(cls, component_id: int, psk_id: bytes, psk_nonce: bytes) -> Self:
        """A PSK of an application component."""
        return cls(PSKType.APPLICATION, component_id, psk_id, None, None, None, psk_nonce)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        if reader.left and reader.data[reader.position] not in (1, 2, 3):
            raise DecodeError("an unknown PSK type")
        # `super()` without arguments does not work in a class that `slots=True` made anew.
        return super(PreSharedKeyID, cls).read(reader)


@dataclass(frozen=True, slots=True)
class PSKLabel(Struct):
    """The context of a PSK in the chain of PSKs of one commit."""

    id: PreSharedKeyID
    index: uint16
    count: uint16


FindPsk = Callable[[PreSharedKeyID], bytes | None]
"""How a group asks for a PSK; None where it is not known (yet)."""


def no_psks(psk_id: PreSharedKeyID) -> None:
    """Knows no PSK."""


def psk_secret(suite: CipherSuite, psks: Sequence[tuple[PreSharedKeyID, bytes]]) -> bytes:
    """psk_secret of PSKs in the order of their proposals: Nh bytes, all zero for none (RFC 9420 §8.4)."""
    zero = bytes(suite.hash_length)
    secret = zero
    for index, (psk_id, psk) in enumerate(psks):
        label = PSKLabel(psk_id, index, len(psks)).encode()
        extracted = suite.extract(zero, psk)
        derived = suite.expand_with_label(extracted, "derived psk", label, suite.hash_length)
        secret = suite.extract(derived, secret)
    return secret


def find_psk_secret(suite: CipherSuite, psk_ids: Sequence[PreSharedKeyID], find: FindPsk) -> bytes:
    """psk_secret of PSKs that are looked up; raises `Pending` where one is missing."""
    psks: list[tuple[PreSharedKeyID, bytes]] = []
    for psk_id in psk_ids:
        psk = find(psk_id)
        if psk is None:
            raise Pending("a pre-shared key is missing")
        psks.append((psk_id, psk))
    return psk_secret(suite, psks)
