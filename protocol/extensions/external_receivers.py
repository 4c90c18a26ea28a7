"""Who, besides the members, opens a group's SemiPrivateMessages (draft-mahy-mls-semiprivatemessage-07 §3).

The list is a component of the GroupContext's dictionary (C-3), so all members agree on it in every epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.errors import Invalid
from starling.protocol.extensions.rules import Rule
from starling.protocol.mls.components import read_component
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.extension import Extension
from starling.protocol.wire import Struct, Vector, opaque

EXTERNAL_RECEIVERS = 0x0008
"""Component of the GroupContext: the external receivers of the epoch (C-3)."""

MAX_EXTERNAL_RECEIVERS = 16
"""S-13."""


@dataclass(frozen=True, slots=True)
class ExternalReceiver(Struct):
    """`external_receiver_public_key` is an HPKE key of the group's suite."""

    external_receiver_public_key: opaque
    credential: Credential

    def reference(self, suite: CipherSuite) -> bytes:
        """ExternalReceiverRef: the plain hash of the encoded receiver, Nh bytes (S-4)."""
        return suite.hash(self.encode())


@dataclass(frozen=True, slots=True)
class _ExternalReceivers(Struct):
    external_receivers: Vector[ExternalReceiver] = ()


def encode_external_receivers(receivers: Sequence[ExternalReceiver]) -> bytes:
    """The data of the component."""
    return _ExternalReceivers(tuple(receivers)).encode()


def parse_external_receivers(data: bytes) -> tuple[ExternalReceiver, ...]:
    """The receivers of the component's data, themselves unchecked. Raises `DecodeError`, `Invalid` for more than 16
    or for one twice (S-13)."""
    receivers = _ExternalReceivers.decode(data).external_receivers
    if len(receivers) > MAX_EXTERNAL_RECEIVERS or len(set(receivers)) != len(receivers):
        raise Invalid(Rule.EXTERNAL_RECEIVERS_LIST)
    return receivers


def read_external_receivers(context_extensions: Iterable[Extension]) -> tuple[ExternalReceiver, ...]:
    """The external receivers that a GroupContext with these extensions names, none where it has no such component.
    Raises `DecodeError`, `Invalid`."""
    data = read_component(context_extensions, EXTERNAL_RECEIVERS)
    return parse_external_receivers(data) if data is not None else ()


def update_external_receivers(updates: Sequence[bytes]) -> bytes:
    """The component's new data after AppDataUpdate proposals, each of which replaces the whole list: a commit has one.
    Raises `DecodeError`, `Invalid`; the keys are checked where the epoch is entered."""
    if len(updates) != 1:
        raise Invalid(Rule.EXTERNAL_RECEIVERS_UPDATE)
    parse_external_receivers(updates[0])
    return updates[0]


def check_external_receivers(suite: CipherSuite, context_extensions: Iterable[Extension]) -> None:
    """Raises `DecodeError` or `Invalid` where the list is malformed or names a key that is none of the suite's: nobody
    could send in such an epoch."""
    for receiver in read_external_receivers(context_extensions):
        suite.hpke.check_public_key(receiver.external_receiver_public_key)
