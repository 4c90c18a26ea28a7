"""What an archiver's operator gives to somebody who may name it in a universe: a text (PROTOCOL 6).

The offer's token stands in the roster entry that names the archiver: by it the archiver knows that it is meant, and
by whom it was asked for. It serves one universe, and so does the HPKE key.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from starling.protocol.distributed import labels
from starling.protocol.distributed.identity import (
    NAME_LENGTH,
    Identity,
    is_name,
    peer_public_key,
    verify,
)
from starling.protocol.distributed.peer_address import MAX_ADDRESS_LENGTH, MAX_ADDRESSES, is_address
from starling.protocol.distributed.text_form import MAX_TEXT, read_text, write_text
from starling.protocol.errors import DecodeError, VerificationFailed
from starling.protocol.packed import Blob, Many, Text, Uint, pack, shape, unpack

_PREFIX = "starlingarchiver1"
_VERSION = 1
_FIELDS = (
    Uint(255),
    Blob.of(32),
    Text(NAME_LENGTH, 1),
    Blob(64),
    Blob.of(32),
    Blob.of(32),
    Many(Text(MAX_ADDRESS_LENGTH), MAX_ADDRESSES),
)


class OfferError(DecodeError):
    """The text is no usable offer; the message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class ArchiverOffer:
    """An archiver: its identity key, name, peer id, HPKE public key (X25519), the offer's token, where to dial it."""

    identity: bytes
    name: str
    peer_id: bytes
    public_key: bytes
    offer: bytes = field(repr=False)
    addresses: tuple[str, ...]

    def text(self, identity: Identity) -> str:
        """The text form, signed by the archiver's identity key."""
        content = self._content()
        return write_text(_PREFIX, pack([content, identity.sign(labels.ARCHIVER_OFFER, content)]))

    @classmethod
    def parse(cls, text: str) -> ArchiverOffer:
        """Read an offer's text; raises `OfferError`."""
        try:
            encoded = read_text(_PREFIX, text)
            if encoded is None:
                raise OfferError(f"An archiver's offer begins with {_PREFIX}.")
            content, signature = shape(unpack(encoded, max_bytes=MAX_TEXT), (Blob(MAX_TEXT), Blob.of(64)))
            version, identity, name, peer_id, public_key, token, addresses = shape(
                unpack(content, max_bytes=MAX_TEXT), _FIELDS
            )
            offer = cls(identity, name, peer_id, public_key, token, tuple(addresses))
            peer_public_key(offer.peer_id)
            if version != _VERSION or not is_name(offer.name) or not all(map(is_address, addresses)):
                raise OfferError("The archiver's offer is of another version, or not valid.")
            verify(offer.identity, labels.ARCHIVER_OFFER, content, signature)
        except OfferError:
            raise
        except (DecodeError, VerificationFailed) as error:
            raise OfferError("The archiver's offer has a typo, or a part of it is missing.") from error
        return offer

    def _content(self) -> bytes:
        return pack(
            [
                _VERSION,
                self.identity,
                self.name,
                self.peer_id,
                self.public_key,
                self.offer,
                list(self.addresses),
            ]
        )
