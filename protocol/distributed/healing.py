"""Which thefts an epoch is healed of (PROTOCOL 5.5), as a vector: identity to time.

A theft of that member's whole state *before* its time is healed in the epoch: who has that state and all traffic,
and only reads, does not have the epoch's secrets, as long as the leaf keys and exported PSKs that this rests on are
not stolen later. Times are in milliseconds; an identity that is missing has time 0, so nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

Vector = Mapping[bytes, int]
"""By identity key. A vector has entries for members of its epoch only."""


def founded(owner: bytes, now: int) -> Vector:
    """Epoch 0 of a group: all of it is newer than anything that was stolen before."""
    return {owner: now}


def welcomed(leaves: Vector, owner: bytes, own: bytes) -> Vector:
    """The epoch that a Welcome led to; `leaves` says when the leaf of each member was made.

    A leaf comes into a group by a path commit alone, so the group was healed then of thefts before the leaf was
    made. The commit with the Welcome is a path commit of the owner, made after the key package that it welcomes.
    """
    return {**leaves, owner: max(leaves.get(owner, 0), leaves.get(own, 0))}


def after_commit(
    parent: Vector,
    *,
    owner: bytes,
    members: Collection[bytes],
    imported: Iterable[Vector] = (),
    made_at: int | None = None,
    leaves: Vector | None = None,
    added: Collection[bytes] = (),
) -> Vector:
    """The vector of a commit's child.

    `imported` are the vectors of the epochs that it imports. Only a commit with a path has `leaves`, when the leaves
    of its tree but leaf 0 were made, and `made_at`, when the commit itself was made where that is known. `added` are
    those whom it adds, anew or again.
    """
    times = dict(parent)
    # (i) Who lacks one of the imported PSKs lacks the child, whatever else is known.
    for vector in imported:
        for identity, time in vector.items():
            if time > times.get(identity, 0):
                times[identity] = time
    if leaves is not None:
        # (ii) Of a leaf that stayed the time is in the parent's vector already.
        for identity, time in leaves.items():
            if identity in added or time > times.get(identity, 0):
                # Whoever has the key package of an added member opens the Welcome, healed before or not.
                times[identity] = time
        if made_at is not None and made_at > times.get(owner, 0):
            times[owner] = made_at
    if times.keys() <= set(members):
        return parent if times == parent else times
    return {identity: time for identity, time in times.items() if identity in members}


class StatedTimes:
    """How far a member's clock can be believed: what it says was made later than it came was made before it came.

    The serials of one member rise, so what bounds a serial bounds all lower ones too. Kept are, for each member whose
    clock was ahead, the newest of these serials with the times at which they were first seen.
    """

    MOST = 64

    def __init__(self) -> None:
        self.seen: dict[bytes, dict[int, int]] = {}
        """By identity: serial to the time at which it was first seen, ascending, where that was earlier."""

    def believed(self, identity: bytes, serial: int) -> int:
        """When at the latest something with this serial was made; it must have been noted."""
        later = (time for other, time in self.seen.get(identity, {}).items() if other >= serial)
        return min(serial, min(later, default=serial))

    def note(self, identity: bytes, serial: int, now: int) -> bool:
        """Take note of a serial that came now; whether that changed anything."""
        if self.believed(identity, serial) <= now:
            return False
        seen = self.seen.setdefault(identity, {})
        seen[serial] = now
        self.seen[identity] = dict(sorted(seen.items())[-self.MOST :])
        return True
