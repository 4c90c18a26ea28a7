"""Members' profiles in a message of a bounded size."""

from __future__ import annotations

from collections.abc import Iterable

from starling.protocol.exchange.member_messages import Profiles

MAX_PROFILES_BYTES = 2 * 1024 * 1024
"""Of KeyPackages and addresses in one message."""


def in_one_message(universe_id: bytes, profiles: Iterable[tuple[tuple[bytes, ...], bytes]]) -> Profiles:
    """As many of these as one message may have: KeyPackages and address of each. For the others one asks again."""
    found = []
    size = 0
    for packages, address in profiles:
        size += sum(map(len, packages)) + len(address)
        if size > MAX_PROFILES_BYTES:
            break
        found.append((packages, address))
    return Profiles(universe_id, tuple(found))
