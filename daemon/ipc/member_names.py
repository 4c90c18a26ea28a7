"""Who is meant by a text: the one place where a person is found by petname, name, or the beginning of an identity.

A petname decides, for the user chose it. A claimed name is taken only where nobody else's looks like it, not even that
of a former member or a petname of somebody elsewhere: who comes later cannot take another's place by a name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from starling.daemon.ipc.errors import RpcError, refused
from starling.protocol.distributed.look_alike import skeleton

_BEGINNING = re.compile(r"[0-9a-fA-F]{4,64}")
_MOST_SHOWN = 8
_DIGITS = 16
_MOST_TEXT = 80

Person = Mapping[str, Any]


def find_person(people: Sequence[Person], text: str, *, members_only: bool = True) -> bytes:
    """The identity of the one person that is meant; `people` are those of `Engine.people`.

    Raises RpcError, with the candidates where several could be meant.
    """
    found = _find(people, text, members_only)
    if members_only and not found["is_member"]:
        who = f"{found['petname'] or found['name']} ({found['identity'].hex()[:_DIGITS]})"
        raise refused(f"{who} is no member of this universe (any more)", "member.unknown")
    return bytes(found["identity"])


def _find(people: Sequence[Person], text: str, members_only: bool) -> Person:
    for person in people:
        if person["identity"].hex() == text.lower():
            return person
    for person in people:
        # A name with a beginning of the identity behind it is made here, for just one.
        if person["petname"] == text or (person["display_name"] == text != person["name"]):
            return person
    alike = [person for person in people if skeleton(text) in map(skeleton, _names(person))]
    named = [person for person in alike if person["name"] == text]
    begun = []
    if _BEGINNING.fullmatch(text):
        begun = [
            person
            for person in people
            if person["identity"].hex().startswith(text.lower()) and (person["is_member"] or not members_only)
        ]
    if len(named) == 1 and len(alike) == 1 and begun in ([], named):
        return named[0]
    if len(begun) == 1 and not named:
        return begun[0]
    if named or begun:
        several = [*begun, *(person for person in alike if person not in begun)]
        raise _ambiguous(several, text)
    near = difflib.get_close_matches(text[:_MOST_TEXT], [name for one in people for name in _names(one)], 1)
    hint = f"did you mean {near[0]!r}?" if near else "'starling members' shows all"
    raise refused(f"there is nobody called {text[:_MOST_TEXT]!r} in this universe; {hint}", "member.unknown")


def _names(person: Person) -> list[str]:
    return [name for name in (person["name"], person["petname"]) if name]


def _ambiguous(people: Sequence[Person], text: str) -> RpcError:
    listed = ", ".join(map(_shown, people[:_MOST_SHOWN])) + (", ..." if len(people) > _MOST_SHOWN else "")
    return refused(
        f"{len(people)} people could be meant by {text[:_MOST_TEXT]!r}: {listed}; name one by the beginning of the "
        "identity, or give them names of your own with 'starling name'",
        "member.ambiguous",
        candidates=[person["identity"].hex() for person in people[:_MOST_SHOWN]],
    )


def _shown(person: Person) -> str:
    """A name, the beginning of the identity, and whether the person is here."""
    gone = "" if person["is_member"] else ", not a member"
    return f"{person['petname'] or person['name']} ({person['identity'].hex()[:_DIGITS]}{gone})"
