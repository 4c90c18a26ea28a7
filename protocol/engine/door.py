"""Who asks to be admitted, and how much of it is listened to (PROTOCOL P-12).

Whoever has a ticket can have a sponsor open sealed requests, which costs it more than to make them. So a peer is first
shown the key of the newest epoch, and then has a few requests opened in a minute, and all together some more.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from starling.protocol.distributed import policy
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.vouched_info import VouchedInfo
from starling.protocol.engine.group_state import GroupState
from starling.protocol.extensions.private_external_info import ExternalEncryptionBundle


@dataclass(slots=True)
class Door:
    """`told` are the peers that were shown the key of `epoch`; `seen` the requests of that epoch, by hash. `greeted`
    and `opened` count per peer what was done for it since `since`."""

    epoch: bytes = b""
    vouched: bytes = b""
    told: set[bytes] = field(default_factory=set)
    seen: dict[bytes, None] = field(default_factory=dict)
    since: int = 0
    greeted: dict[bytes, int] = field(default_factory=dict)
    opened: dict[bytes, int] = field(default_factory=dict)

    def turn_to(self, identity: Identity, own: GroupState, now: int) -> None:
        """Forget what was of an earlier epoch, and what was counted more than a minute ago."""
        if own.graph.head != self.epoch:
            self.epoch = own.graph.head
            bundle = ExternalEncryptionBundle.of(own.head, self.epoch)
            self.vouched = VouchedInfo.sign(identity, own.universe_id, bundle).encode()
            self.told.clear()
            self.seen.clear()
        if not 0 <= now - self.since < policy.MINUTE:
            self.since = now
            self.greeted.clear()
            self.opened.clear()

    def may_greet(self, peer_id: bytes) -> bool:
        """Whether one more first word of a peer is answered; it is counted."""
        count = self.greeted.get(peer_id, 0)
        if count >= policy.JOIN_HELLOS_OF_PEER or (not count and len(self.greeted) >= policy.JOIN_PEERS):
            return False
        self.greeted[peer_id] = count + 1
        if len(self.told) >= policy.JOIN_REMEMBERED:
            self.told.clear()  # they have asked long ago, or ask again
        self.told.add(peer_id)
        return True

    def may_open(self, peer_id: bytes) -> bool:
        """Whether one more request of a peer is opened; it is counted."""
        count = self.opened.get(peer_id, 0)
        if count >= policy.JOIN_OPENED_OF_PEER or sum(self.opened.values()) >= policy.JOIN_OPENED:
            return False
        self.opened[peer_id] = count + 1
        return True

    def is_repeated(self, digest: bytes) -> bool:
        """Whether a request of this hash came in this epoch already."""
        return digest in self.seen

    def remember(self, digest: bytes) -> None:
        """Know a request of this hash again, as long as there are not too many others."""
        self.seen[digest] = None
        while len(self.seen) > policy.JOIN_REMEMBERED:
            del self.seen[next(iter(self.seen))]
