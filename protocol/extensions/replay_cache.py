"""Which messages have come in an epoch that no ratchet protects from coming again (P-12)."""

from __future__ import annotations

from collections.abc import Iterable

from starling.protocol.errors import Pending

MAX_REMEMBERED = 1024


class ReplayCache:
    """The hashes of what was opened in one epoch of one group. It forgets nothing, or an old message would count again:
    once it is full the epoch takes no more such messages."""

    def __init__(self, digests: Iterable[bytes] = ()) -> None:
        self._digests = dict.fromkeys(digests)

    def __contains__(self, digest: object) -> bool:
        return digest in self._digests

    @property
    def digests(self) -> tuple[bytes, ...]:
        """For saving."""
        return tuple(self._digests)

    def check_room(self) -> None:
        """Raises `Pending` where the cache is full: to be asked before a message is opened."""
        if len(self._digests) >= MAX_REMEMBERED:
            raise Pending("no more messages from outside are taken in this epoch")

    def add(self, digest: bytes) -> None:
        """Remember a message that was opened and verified."""
        self.check_room()
        self._digests[digest] = None
