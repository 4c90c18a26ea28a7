"""What a roster says to peers of members that these do not know yet, or that are no longer any."""

from __future__ import annotations

import pytest
from tests.distributed.people import ALICE, BOB, CAROL, DAVE, add_invite
from tests.distributed.rosters import ERIN, B, C, D, admit, copy, ticket, with_roles

from starling.protocol.distributed.roster_entry import entry_id
from starling.protocol.distributed.roster_rights import ADMIN, MEMBER
from starling.protocol.errors import Pending


def test_a_strangers_hello_leads_back_to_somebody_known() -> None:
    known = with_roles(bob=MEMBER)
    far = copy(known)
    admit(far, CAROL, BOB)
    admit(far, DAVE, CAROL)
    for secret in ("more", "and more"):
        add_invite(far, ticket(secret))
    proof = far.proof(D, 100_000)
    assert entry_id(proof[-1]) == far.members[D].entry_id
    assert known.admits(proof, DAVE.peer_id)
    assert not known.admits(proof, CAROL.peer_id)
    assert not known.admits(proof[-1:], DAVE.peer_id), "nobody here knows Carol"
    assert not far.admits(proof, DAVE.peer_id), "nothing new"
    short = far.proof(D, 2_000)
    assert len(short) < len(proof) and known.admits(short, DAVE.peer_id), "sponsors come first"
    for entry in (far.entry(far.members[C].entry_id), short[-1]):
        with pytest.raises(Pending):
            known.add(entry or b"")
    assert known.awaits(DAVE.peer_id) and not known.awaits(ERIN.peer_id)
    known.add(known.make_remove(ALICE, B))
    assert not known.admits(proof, DAVE.peer_id) and not known.awaits(DAVE.peer_id)


def test_any_admin_tells_a_member_that_it_is_removed() -> None:
    roster = with_roles(bob=ADMIN, carol=MEMBER, dave=MEMBER)
    for by, told in ((BOB, True), (ALICE, True), (DAVE, False)):
        mine, theirs = copy(roster), copy(roster)
        add_invite(theirs, ticket("unknown"))
        if by is DAVE:
            theirs.add(theirs.make_role(ALICE, D, ADMIN))
        removal = theirs.make_remove(by, C)
        with pytest.raises(Pending):
            mine.add(removal)
        assert mine.is_told_removed(C) is told
        assert not mine.is_told_removed(D)
