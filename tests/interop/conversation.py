"""Groups whose members live in several peers: every step ends with a look that all of them agree."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from tests.interop.peer import Peer

_groups = itertools.count(1)


@dataclass
class Seat:
    """A member of one group: a peer, and the name of the group there."""

    peer: Peer
    name: str
    identity: str

    def call(self, command: str, **arguments: Any) -> dict[str, Any]:
        return self.peer.call(command, group=self.name, **arguments)


@dataclass
class Conversation:
    """A group in one suite. `seats` are its members by identity, in order of joining."""

    suite: int
    group_id: str = field(default_factory=lambda: f"{next(_groups):08x}")
    seats: dict[str, Seat] = field(default_factory=dict)

    def seat(self, peer: Peer, identity: str) -> Seat:
        """Someone who is about to enter the group."""
        return Seat(peer, f"{self.group_id} {identity}", identity)

    def create(self, peer: Peer, identity: str, **options: Any) -> Seat:
        seat = self.seat(peer, identity)
        seat.call("create_group", group_id=self.group_id, identity=identity, suite=self.suite, **options)
        self.seats[identity] = seat
        return seat

    def key_package(self, seat: Seat, **options: Any) -> str:
        made = seat.peer.call("key_package", identity=seat.identity, suite=self.suite, **options)
        return str(made["key_package"])

    def add(
        self,
        by: str,
        *newcomers: tuple[Peer, str],
        proposals: tuple[dict[str, Any], ...] = (),
        **options: Any,
    ) -> dict[str, Any]:
        """A commit that adds these, who join by the Welcome; with the tree beside it where it is not inside."""
        seats = [self.seat(peer, identity) for peer, identity in newcomers]
        adds = [{"type": "add", "key_package": self.key_package(seat)} for seat in seats]
        made = self.commit(by, *adds, *proposals, check=False, **options)
        self.join(self.seats[by], made["welcome"], *seats)
        return made

    def join(self, by: Seat, welcome: str, *seats: Seat) -> None:
        """These enter by a Welcome of another member."""
        tree = by.call("ratchet_tree")["ratchet_tree"]
        for seat in seats:
            seat.call("join", welcome=welcome, ratchet_tree=tree)
            self.seats[seat.identity] = seat
        self.check()

    def external_join(self, peer: Peer, identity: str, *, by: str, **options: Any) -> None:
        """An external commit into the epoch of a GroupInfo of `by`; with `resync` by one who is a member."""
        info = self.seats[by].call("group_info")["group_info"]
        seat = self.seats.pop(identity, None) or self.seat(peer, identity)
        made = seat.call("external_join", group_info=info, identity=identity, suite=self.suite, **options)
        self.deliver(identity, made["commit"], check=False)
        self.seats[identity] = seat
        self.check()

    def follow(self, by: str, *others: str, suite: int | None = None, **options: Any) -> Conversation:
        """The group that follows this one, of these members: after a ReInit, else a branch."""
        following = Conversation(suite or self.suite, **options)
        seats = [following.seat(self.seats[identity].peer, identity) for identity in (by, *others)]
        made = self.seats[by].call(
            "branch",
            key_packages=[following.key_package(seat) for seat in seats[1:]],
            group_id=following.group_id,
            new_group=seats[0].name,
        )
        following.seats[by] = seats[0]
        following.join(seats[0], made["welcome"], *seats[1:])
        return following

    def commit(
        self, by: str, *proposals: dict[str, Any], check: bool = True, **options: Any
    ) -> dict[str, Any]:
        """A commit by one, processed by all others; who is removed by it goes."""
        made = self.seats[by].call("commit", proposals=list(proposals), **options)
        self.deliver(by, made["commit"], check)
        return made

    def deliver(self, by: str, commit: str, check: bool = True) -> None:
        for identity, seat in list(self.seats.items()):
            if identity == by:
                continue
            done = seat.call("process", message=commit)
            assert done["kind"] == "commit"
            if done.get("self_removed"):
                del self.seats[identity]
        if check:
            self.check()

    def propose(self, by: str, kind: str, **options: Any) -> None:
        """A proposal by one, kept by all others."""
        message = self.seats[by].call("propose", type=kind, **options)["message"]
        self.hear(message, by)

    def hear(self, proposal: str, by: str | None = None) -> None:
        """All members but who proposed it keep a proposal."""
        for identity, seat in self.seats.items():
            if identity != by:
                assert seat.call("process", message=proposal)["kind"] == "proposal"

    def check(self) -> int:
        """All have one epoch, authenticator, tree hash and exporter; its number."""
        seen = set()
        for seat in self.seats.values():
            state = seat.call("epoch_authenticator")
            secret = seat.call("export", label="interop", context="00ff", length=48)["secret"]
            seen.add((state["epoch"], state["epoch_authenticator"], state["tree_hash"], secret))
        assert len(seen) == 1, seen
        return int(seen.pop()[0])

    def talk(self) -> None:
        """Everybody says something that all others read."""
        for speaker in self.seats.values():
            text = f"{speaker.identity} in epoch {self.check()}".encode().hex()
            message = speaker.call("encrypt", plaintext=text, aad="0a0b")["message"]
            for seat in self.seats.values():
                if seat is not speaker:
                    opened = seat.call("decrypt", message=message)
                    assert (opened["plaintext"], opened["aad"]) == (text, "0a0b")
