"""Conversations with ts-mls, a client in another language, in both roles and all suites that both have.

After every step all members have the same exporter and epoch authenticator. Where ts-mls leaves RFC 9420
its peer goes the RFC's way, or the test says what is left out; docs/interoperability.md lists it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.interop.conversation import Conversation
from tests.interop.peer import Peer, Refused, starling_peer
from tests.interop.ts_mls_peer import SUITES, ts_mls_peer

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES

STARLING, TS_MLS = "starling", "ts_mls"
EXTENSIONS = [{"type": 1, "data": "c0ffee"}, {"type": 3, "data": "000000"}]


@pytest.fixture(scope="module")
def peers() -> Iterator[dict[str, Peer]]:
    with ts_mls_peer() as other, starling_peer() as own:
        yield {STARLING: own, TS_MLS: other}


@dataclass
class Roles:
    """Who plays what: alice, the creator, and carol are of one implementation, bob and dave of the other."""

    creator: Peer
    other: Peer
    suite: int = 1

    @property
    def own(self) -> str:
        """The member of the first two whose implementation is ours."""
        return "alice" if self.creator.name == STARLING else "bob"

    @property
    def theirs(self) -> str:
        return "bob" if self.own == "alice" else "alice"

    def peer(self, identity: str) -> Peer:
        return self.creator if identity == "alice" else self.other

    def pair(self, **options: Any) -> Conversation:
        talk = Conversation(self.suite)
        talk.create(self.creator, "alice", **options)
        talk.add("alice", (self.other, "bob"))
        return talk

    def four(self) -> Conversation:
        talk = self.pair()
        talk.add("alice", (self.creator, "carol"), (self.other, "dave"))
        return talk


@pytest.fixture(params=[STARLING, TS_MLS], ids=lambda name: f"{name} creates")
def roles(request: pytest.FixtureRequest, peers: dict[str, Peer]) -> Roles:
    creator = peers[request.param]
    other = peers[TS_MLS if request.param == STARLING else STARLING]
    return Roles(creator, other)


def test_the_suites_are_those_of_the_peer(peers: dict[str, Peer]) -> None:
    assert set(peers[TS_MLS].call("hello")["suites"]) == SUITES


@pytest.mark.parametrize("suite", sorted(SUITES & set(CIPHER_SUITES)))
def test_a_whole_life(roles: Roles, suite: int) -> None:
    """Every kind of step once, in each suite; the tests below look closer at one."""
    talk = replace(roles, suite=suite).pair()
    talk.talk()
    talk.commit("alice", public=True)
    talk.commit("bob", public=False)
    talk.propose("bob", "update", public=True)
    talk.commit("alice")
    talk.propose("alice", "update")
    talk.commit("bob", public=True)
    for peer in (roles.creator, roles.other):
        peer.call("add_psk", psk_id="b1", psk="33" * 48)
    psk = {"type": "psk", "psk_id": "b1"}
    talk.commit("alice", psk)
    talk.propose("alice", "psk", psk_id="b1")
    talk.commit("bob", {"type": "resumption_psk", "psk_epoch": 2})
    talk.propose("bob", "resumption_psk", public=True)
    talk.commit("alice")
    talk.add("bob", (roles.creator, "carol"), proposals=(psk,))
    talk.commit(roles.own, {"type": "group_context_extensions", "extensions": EXTENSIONS})
    talk.external_join(roles.other, "dave", by="alice")
    talk.external_join(roles.creator, "erin", by="bob")
    talk.commit("dave", {"type": "remove", "leaf_index": 2})
    talk.external_join(roles.other, "dave", by="alice", resync=True)
    talk.talk()
    # The same two in another group, into which a Welcome with a resumption PSK leads.
    resumption = {"type": "resumption_psk", "psk_group_id": talk.group_id, "psk_epoch": talk.check()}
    second = Conversation(suite)
    second.create(roles.creator, "alice")
    second.add("alice", (roles.other, "bob"), proposals=(resumption,))
    second.follow("alice", "bob").talk()
    reinitialized = second.group_id + "01"
    second.commit("bob", {"type": "reinit", "group_id": reinitialized, "suite": 1})
    second.follow("bob", "alice", suite=1, group_id=reinitialized).talk()


def test_join_and_talk(roles: Roles) -> None:
    talk = roles.four()
    talk.talk()
    assert talk.check() == 2


def test_the_tree_beside_the_welcome(roles: Roles) -> None:
    talk = Conversation(roles.suite)
    talk.create(roles.creator, "alice")
    talk.add("alice", (roles.other, "bob"), ratchet_tree_extension=False)
    talk.add("bob", (roles.creator, "carol"), ratchet_tree_extension=False)
    talk.talk()


def test_a_leaf_without_a_limit_of_its_lifetime(peers: dict[str, Peer]) -> None:
    """As ts-mls writes it by default. The limit is the application's (RFC 9420 §7.2): the driver's takes it."""
    talk = Conversation(1)
    talk.create(peers[TS_MLS], "alice", lifetime=None)
    talk.add("alice", (peers[STARLING], "bob"))
    carol = talk.seat(peers[TS_MLS], "carol")
    add = {"type": "add", "key_package": talk.key_package(carol, lifetime=None)}
    talk.join(talk.seats["bob"], talk.commit("bob", add, check=False)["welcome"], carol)


def test_a_newcomer_proposes_its_own_add(peers: dict[str, Peer]) -> None:
    talk = Roles(peers[STARLING], peers[TS_MLS]).pair()
    info = talk.seats["alice"].call("group_info")["group_info"]
    carol = talk.seat(peers[TS_MLS], "carol")
    talk.hear(carol.call("propose_add", group_info=info, identity="carol")["message"])
    talk.join(talk.seats["alice"], talk.commit("alice", check=False)["welcome"], carol)
    talk.talk()


@pytest.mark.parametrize("public", [True, False], ids=["public", "private"])
def test_updates(roles: Roles, public: bool) -> None:
    """By path and by reference, from everybody."""
    talk = roles.four()
    for identity in ("bob", "alice", "dave", "carol"):
        talk.commit(identity, public=public, aad="0c")
    talk.propose("bob", "update", public=public)
    talk.propose("carol", "update", public=public)
    talk.commit("alice", public=public)
    talk.propose("alice", "update", public=public)
    talk.commit("dave", public=public)
    for identity in ("alice", "bob"):
        talk.commit(identity, public=public)
    talk.talk()


@pytest.mark.parametrize("public", [True, False], ids=["public", "private"])
def test_external_psks(roles: Roles, public: bool) -> None:
    """By value, by reference, and in the Welcome."""
    talk = roles.pair()
    for peer in (roles.creator, roles.other):
        peer.call("add_psk", psk_id="a1", psk="11" * 32)
        peer.call("add_psk", psk_id="a2", psk="22" * 16)
    first, second = ({"type": "psk", "psk_id": name} for name in ("a1", "a2"))
    for by, other in (("alice", "bob"), ("bob", "alice")):
        talk.commit(by, first, second, public=public)
        talk.propose(other, "psk", psk_id="a1", public=public)
        talk.commit(by, second, public=public)
    talk.add("alice", (roles.other, "dave"), proposals=(first, second), public=public)
    talk.add("dave", (roles.creator, "carol"), proposals=(second,), public=public)
    talk.talk()


@pytest.mark.parametrize("public", [True, False], ids=["public", "private"])
def test_resumption_psks(roles: Roles, public: bool) -> None:
    """Of the current and a past epoch, by value and by reference."""
    talk = roles.pair()
    talk.commit("alice")
    for by, other in (("alice", "bob"), ("bob", "alice")):
        talk.commit(by, {"type": "resumption_psk"}, public=public)
        talk.commit(by, {"type": "resumption_psk", "psk_epoch": 1}, public=public)
        talk.propose(other, "resumption_psk", psk_epoch=2, public=public)
        talk.commit(by, public=public)
    talk.talk()


def test_a_resumption_psk_in_the_welcome(roles: Roles) -> None:
    """Of another group. A member that comes back may join by one in any epoch (RFC 9420 §12.4.3.1 asks for
    epoch 1 only after ReInit and branch), but ts-mls wants epoch 1 for all of them."""
    talk = roles.pair()
    talk.commit("bob")
    psk = {"type": "resumption_psk", "psk_group_id": talk.group_id, "psk_epoch": talk.check()}
    second = Conversation(roles.suite)
    second.create(roles.creator, "alice")
    second.add("alice", (roles.other, "bob"), proposals=(psk,))
    second.talk()
    second.add(roles.theirs, (roles.peer(roles.own), "carol"), proposals=(psk,))
    with pytest.raises(Refused, match="Resumption must be started at epoch 1"):
        second.add(roles.own, (roles.peer(roles.theirs), "dave"), proposals=(psk,))


def test_removals(roles: Roles) -> None:
    talk = roles.four()
    talk.commit("bob", {"type": "remove", "leaf_index": 2})
    talk.propose("alice", "remove", leaf_index=3)
    talk.commit("bob", public=True)
    assert set(talk.seats) == {"alice", "bob"}
    talk.add("alice", (roles.other, "erin"))
    talk.add("erin", (roles.creator, "frank"))
    talk.commit("alice", {"type": "remove", "leaf_index": 1})
    talk.commit("frank", {"type": "remove", "leaf_index": 2})
    assert set(talk.seats) == {"alice", "frank"}
    talk.talk()


def test_a_blank_left_half(roles: Roles) -> None:
    """Where the filtered direct path ends below the root, commit_secret comes from its last path secret (RFC
    9420 §7.4, §12.4.1). ts-mls derives on to the root, so it neither follows nor is followed."""
    talk = roles.four()
    talk.commit("carol", {"type": "remove", "leaf_index": 0})
    with pytest.raises(Refused):
        talk.commit("carol", {"type": "remove", "leaf_index": 1})


def test_unmerged_leaves_in_both_halves(roles: Roles) -> None:
    """A leaf that is unmerged in a parent is so in the parents between (RFC 9420 §12.4.3.1). ts-mls wants all
    parents above it to have one and the same list, and cannot join where two leaves far apart are unmerged."""
    talk = Conversation(roles.suite)
    talk.create(roles.creator, "0")
    talk.add("0", *((roles.other, name) for name in "1234567"))
    for name in "04":
        talk.commit(name)
    for by, leaf_index in (("0", 1), ("4", 5)):
        talk.commit(by, {"type": "remove", "leaf_index": leaf_index})
    talk.add("0", (roles.other, "8"))
    own, theirs = roles.peer(roles.own), roles.peer(roles.theirs)
    talk.add("4", (own, "9"))
    talk.commit("0")
    talk.commit("4", {"type": "remove", "leaf_index": 5})
    talk.commit("0", {"type": "remove", "leaf_index": 1})
    talk.add("0", (roles.creator, "10"))
    with pytest.raises(Refused, match="unmerged_leaves"):
        talk.add("4", (theirs, "11"))


def test_a_place_taken_anew(roles: Roles) -> None:
    """A removed member whose place another one takes in the same commit is told so by Starling; ts-mls looks
    only whether the place is empty, and fails."""
    talk = roles.four()
    for identity, leaf_index in (("carol", 2), ("dave", 3)):
        package = talk.key_package(talk.seat(roles.creator, identity + " again"))
        change: list[dict[str, Any]] = [
            {"type": "remove", "leaf_index": leaf_index},
            {"type": "add", "key_package": package},
        ]
        if talk.seats[identity].peer.name == STARLING:
            talk.commit("alice", *change)
            assert identity not in talk.seats
            continue
        gone = talk.seats.pop(identity)
        made = talk.commit("alice", *change)
        with pytest.raises(Refused, match="No overlap"):
            gone.call("process", message=made["commit"])
    talk.commit("bob")


@pytest.mark.parametrize("public", [True, False], ids=["public", "private"])
def test_group_context_extensions(roles: Roles, public: bool) -> None:
    """By value and by reference, committed by Starling: ts-mls makes no path where §17.4 requires one."""
    talk = roles.four()
    own, other = roles.own, roles.theirs
    change = {"type": "group_context_extensions", "extensions": EXTENSIONS}
    talk.commit(own, change, public=public)
    assert talk.seats[other].call("info")["group_extensions"] == EXTENSIONS
    talk.propose(other, "group_context_extensions", extensions=EXTENSIONS[:1], public=public)
    talk.commit(own, public=public)
    for seat in talk.seats.values():
        assert seat.call("info")["group_extensions"] == EXTENSIONS[:1]
    talk.commit(other)
    talk.talk()
    made = talk.seats[other].call("commit", proposals=[change], public=public)
    with pytest.raises(Refused) as refused:
        talk.seats[own].call("process", message=made["commit"])
    assert refused.value.rule == "PATH_REQUIRED"


def test_a_group_with_extensions_from_the_start(roles: Roles) -> None:
    talk = Conversation(roles.suite)
    talk.create(roles.creator, "alice", group_extensions=EXTENSIONS)
    talk.add("alice", (roles.other, "bob"))
    talk.add("bob", (roles.creator, "carol"))
    for seat in talk.seats.values():
        assert seat.call("info")["group_extensions"] == EXTENSIONS
    talk.talk()


def test_external_commits(roles: Roles) -> None:
    """Into groups of both, and back into one's own place, with the tree inside the GroupInfo."""
    talk = roles.four()
    talk.external_join(roles.creator, "erin", by="bob")
    talk.external_join(roles.other, "frank", by="alice")
    talk.commit("frank")
    talk.commit("erin")
    for identity in ("bob", "alice", "erin", "frank"):
        by = "carol" if identity != "carol" else "dave"
        talk.external_join(talk.seats[identity].peer, identity, by=by, resync=True)
    talk.commit("alice", {"type": "remove", "leaf_index": 3})
    talk.external_join(roles.other, "dave", by="bob")
    talk.talk()


def test_branches(roles: Roles) -> None:
    """Of all and of some, from both sides; the group goes on."""
    talk = roles.four()
    for by, *others in (("alice", "bob", "carol", "dave"), ("bob", "alice"), ("carol", "dave")):
        branched = talk.follow(by, *others)
        branched.commit(others[0])
        branched.talk()
    talk.commit("dave")


@pytest.mark.parametrize("by_reference", [True, False])
@pytest.mark.parametrize("by", ["alice", "bob"])
def test_reinitialization(roles: Roles, by: str, by_reference: bool) -> None:
    """Into another suite and other extensions, by value and by reference, from both sides."""
    talk = roles.four()
    group_id = f"f2{roles.own == by}{by_reference}".encode().hex() + talk.group_id
    reinit = {"group_id": group_id, "suite": 3, "extensions": EXTENSIONS}
    if by_reference:
        talk.propose("dave", "reinit", public=True, **reinit)
        talk.commit(by)
    else:
        talk.commit(by, {"type": "reinit", **reinit})
    for seat in talk.seats.values():
        with pytest.raises(Refused):
            seat.call("commit")
    others = {"alice", "bob", "carol", "dave"} - {by}
    following = talk.follow(by, *sorted(others), suite=3, group_id=group_id)
    assert following.seats["carol"].call("info")["group_extensions"] == EXTENSIONS
    following.commit("dave")
    following.talk()
