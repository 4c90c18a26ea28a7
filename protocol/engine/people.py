"""What people are called here: the user's own name for somebody wins over what that one claims, and where a claimed
name looks like another person's, the beginning of the identity key stands behind it.

Everything that goes to apps with an identity and a name gets `petname` (None where there is none) and `display_name`,
which is what is to be shown; what is for one member, `to`, gets `to_name`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from starling.protocol.distributed.look_alike import skeleton
from starling.protocol.engine.universe import Universe

_LEAST_DIGITS = 8
_ALL_DIGITS = 64
_IDENTITIES = ("identity", "owner", "sender")
_NAMES = ("name", "sender_name")
_NAMES_NOBODY = frozenset({bytes, str, int, bool, type(None)})


class DisplayNames:
    """The names of one universe's people, as of now; made anew when any of them may have changed."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self._names: dict[bytes, str] = {}
        self._alike: defaultdict[str, set[bytes]] = defaultdict(set)
        roster = universe.roster
        for identity in (*roster.members, *roster.former):
            self._alike[skeleton(universe.name_of(identity))].add(identity)
        for identity, contact in universe.contacts.contacts.items():
            for name in (contact.petname, contact.verified_name):
                if name:
                    self._alike[skeleton(name)].add(identity)

    def alike(self, name: str) -> frozenset[bytes]:
        """Who is called something that looks like this name, by themselves or by this node's user."""
        return frozenset(self._alike.get(skeleton(name), ()))

    def of(self, identity: bytes, claimed: str = "") -> str:
        """What to show; `claimed` is for somebody of whom nothing is known any more."""
        held = self._names.get(identity)
        if held is None:
            held = self._names[identity] = self._make(identity, self._universe.name_of(identity) or claimed)
        return held

    def _make(self, identity: bytes, claimed: str) -> str:
        petname = self._universe.contacts.get(identity).petname
        if petname:
            return petname
        if not claimed:
            return fingerprint(identity)
        others = self.alike(claimed) - {identity}
        if not others or identity == self._universe.me:
            return claimed
        return f"{claimed} ({fingerprint(identity, others)})"


def fingerprint(identity: bytes, others: Iterable[bytes] = ()) -> str:
    """The beginning of an identity key in hex: as much of it as no other of these has."""
    digits = _LEAST_DIGITS
    rivals = [other.hex() for other in others]
    while digits < _ALL_DIGITS and any(rival.startswith(identity.hex()[:digits]) for rival in rivals):
        digits += 4
    return identity.hex()[:digits]


def display_names(universe: Universe) -> DisplayNames:
    """The display names of a universe, kept until roster, claims or contacts change."""
    revisions = universe.roster.revision, universe.claims.revision, universe.contacts.revision
    key = (*revisions, universe.identity.name)
    held = universe.display
    if held is None or held[0] != key:
        held = universe.display = (key, DisplayNames(universe))
    names: DisplayNames = held[1]
    return names


def named(universe: Universe, value: Any) -> Any:
    """A view or the body of an event, with `petname` and `display_name` wherever it names somebody."""
    if isinstance(value, list):
        return [named(universe, item) for item in value]
    if not isinstance(value, Mapping):
        return value
    shown = {
        key: item if type(item) in _NAMES_NOBODY else named(universe, item) for key, item in value.items()
    }
    identity = next((value[key] for key in _IDENTITIES if key in value), None)
    claimed = next((value[key] for key in _NAMES if key in value), None)
    if isinstance(identity, bytes) and isinstance(claimed, str):
        shown["petname"] = universe.contacts.get(identity).petname or None
        shown["display_name"] = display_names(universe).of(identity, claimed)
    if isinstance(value.get("to"), bytes):
        shown["to_name"] = display_names(universe).of(value["to"])
    return shown


def people_view(universe: Universe) -> list[dict[str, Any]]:
    """Everybody who can be named: the members, then former members and those of whom something is noted."""
    roster, contacts = universe.roster, universe.contacts.contacts
    members = sorted(roster.members) if universe.is_active else []
    known = sorted((roster.former.keys() | contacts.keys()) - set(members))
    names = display_names(universe)
    return [
        {
            "identity": identity,
            "name": universe.name_of(identity),
            "petname": universe.contacts.get(identity).petname or None,
            "display_name": names.of(identity),
            "verified_at": universe.contacts.get(identity).verified_at,
            "is_member": identity in members,
        }
        for identity in (*members, *known)
    ]
