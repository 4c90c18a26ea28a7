"""Which universe and which person the texts of a request mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starling.daemon.ipc.errors import refused
from starling.daemon.ipc.member_names import find_person
from starling.daemon.loop import Loop

SHOWN_DIGITS = 12
_MOST_SHOWN = 8


class Lookup:
    """Finds what is named by a text among what the engine has."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    @property
    def _engine(self) -> Any:
        return self._loop.engine

    def people(self, universe: bytes) -> list[Mapping[str, Any]]:
        """Who is and was in a universe, and what each is called here."""
        people: list[Mapping[str, Any]] = self._engine.people(universe)
        return people

    def universe(self, text: str) -> bytes:
        """The id of the universe that a text names: its id, a beginning of it, or its name.

        A whole id is not looked up: the engine refuses it where it must, and looking costs with each message.
        """
        if len(text) == 64 and all(digit in "0123456789abcdef" for digit in text):
            return bytes.fromhex(text)
        universes: list[Mapping[str, Any]] = self._engine.universes()
        ids = [bytes(universe["universe_id"]) for universe in universes]
        found = [i for i, u in zip(ids, universes, strict=True) if u["name"] == text]
        how = "are called"
        if not found and len(text) >= 4:
            found = [i for i in ids if i.hex().startswith(text.lower())]
            how = "have ids that begin with"
        if len(found) == 1:
            return found[0]
        if found:
            digits = _distinguishing(found)
            listed = ", ".join(i.hex()[:digits] for i in found[:_MOST_SHOWN])
            more = ", ..." if len(found) > _MOST_SHOWN else ""
            raise refused(
                f"{len(found)} universes {how} {text[:80]!r}; name one by its id: {listed}{more}",
                "ambiguous",
                universe_ids=[i.hex() for i in found],
            )
        raise refused(
            f"there is no universe {text[:80]!r} here; 'starling universe list' shows all", "universe.unknown"
        )

    def member(self, universe: bytes, text: str, *, members_only: bool = True) -> bytes:
        """The identity of the person that a text names; with `members_only` refused for who is no member."""
        return find_person(self.people(universe), text, members_only=members_only)


def _distinguishing(ids: list[bytes]) -> int:
    """How many hex digits tell these ids apart."""
    digits = SHOWN_DIGITS
    while len({i.hex()[:digits] for i in ids}) < len(set(ids)):
        digits += 4
    return digits
