"""The non-default wire formats of send groups: required from their founding, supported by every leaf (PROTOCOL C-2).

A targeted message travels inside application data there, so its format is none of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid
from starling.protocol.extensions.external_receivers import read_external_receivers
from starling.protocol.mls.extension import REQUIRED_WIRE_FORMATS, SUPPORTED_WIRE_FORMATS, Extension
from starling.protocol.mls.negotiation import Negotiated, WireFormats
from starling.protocol.mls.wire_format import WireFormat

SEND_GROUP_WIRE_FORMATS = (WireFormat.MLS_PRIVATE_EXTERNAL_MESSAGE, WireFormat.MLS_SEMIPRIVATE_MESSAGE)

_DATA = WireFormats(SEND_GROUP_WIRE_FORMATS).encode()

REQUIRED = Extension(REQUIRED_WIRE_FORMATS, _DATA)
"""The GroupContext extension of every send group."""

SUPPORTED = Extension(SUPPORTED_WIRE_FORMATS, _DATA)
"""The extension of every member's leaf."""


def check_required_wire_formats(context_extensions: Iterable[Extension]) -> None:
    """Raises `Invalid` unless the GroupContext with these extensions requires what send groups require: nobody can
    add it later."""
    required = Negotiated.read(context_extensions, REQUIRED_WIRE_FORMATS)
    if required.wire_formats != frozenset(SEND_GROUP_WIRE_FORMATS):
        raise Invalid(Rule.REQUIRED_WIRE_FORMATS)


def handshake_wire_format(context_extensions: Iterable[Extension]) -> int:
    """The only wire format of commits in an epoch with this GroupContext: semi-private iff there are external receivers
    (X-20). Raises `DecodeError`, `Invalid`."""
    if read_external_receivers(context_extensions):
        return WireFormat.MLS_SEMIPRIVATE_MESSAGE
    return WireFormat.MLS_PRIVATE_MESSAGE
