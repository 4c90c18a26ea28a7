"""The presentation language of TLS and MLS (RFC 9420 §2.1, RFC 8446 §3) as annotated fields.

A structure is a frozen dataclass under `Struct`; the codec comes from the annotations, composed once a class:

    @dataclass(frozen=True, slots=True)
    class Example(Struct):
        version: uint16                       # uint8 uint16 uint32 uint64
        name: opaque                          # opaque<V>
        tag: Annotated[bytes, Fixed(4)]       # opaque[4]
        ids: Vector[uint32]                   # uint32<V>, a tuple
        parent: Other | None                  # optional<Other>
        inner: Other                          # a nested struct
        source: uint8
        lifetime: Annotated[Lifetime | None, When("source", 1)]        # where source == 1, else None
        hash: Annotated[bytes | None, When("source", 3, of=opaque)]    # `of` where it is no Struct

    Example(...).encode() -> bytes
    Example.decode(data) -> Example           # strict: DecodeError for a cut, trailing bytes or a bad length

A select over classes is a table:

    Proposal = Select(uint16, {1: Add, 2: Update, ...}, tag="proposal_type")

where every class has the class variable named by `tag`. Use `Annotated[Add | Update, Proposal]` as a field
type, or `Proposal.encode(value)` and `Proposal.decode(data)` alone. A tag that is not in the table is
`Unsupported`, since its body has no known length, or `DecodeError` with `extensible=False`.
`Select.register` adds an alternative.

A structure whose wire form is hashed, signed or passed on derives from `Remembered`: what was decoded is not
encoded again.

A class with an unusual layout overrides `write(self, out)` and `read(cls, reader)`.
"""

from starling.protocol.wire.codecs import Fixed
from starling.protocol.wire.reader import Reader, encode_length, encode_opaque
from starling.protocol.wire.structure import (
    Remembered,
    Select,
    Signed,
    Struct,
    Vector,
    When,
    opaque,
    uint8,
    uint16,
    uint32,
    uint64,
)

__all__ = [
    "Fixed",
    "Reader",
    "Remembered",
    "Select",
    "Signed",
    "Struct",
    "Vector",
    "When",
    "encode_length",
    "encode_opaque",
    "opaque",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]
