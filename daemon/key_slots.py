"""The keys of the store, wrapped, in fixed slots of 64 bytes that are overwritten in place.

Deleting a row, or a file, leaves its bytes on the disk for a long time; overwriting 64 bytes of a file of
fixed places does not (on devices that write in place; flash may keep old blocks until it collects them).
So a sealed row dies when its key's slot is overwritten.

A slot: nonce (12), wrapped key (32), tag (16), mark (4). A free slot is all zero.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from starling.daemon.sealing import KEY_SIZE, Nonces, Sealer, Unsealable

SLOT_SIZE = 64
_MARK = b"SK1\n"
_FREE = bytes(SLOT_SIZE)


class KeySlots:
    """An open file of slots. `wrap` holds the node key."""

    def __init__(self, path: Path, node_key: bytes, nonces: Nonces) -> None:
        """Open the file, made with mode 0600 where it is missing. Raises OSError."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._wrap = Sealer(node_key, nonces)
        count = os.fstat(self._descriptor).st_size // SLOT_SIZE
        data = os.pread(self._descriptor, count * SLOT_SIZE, 0)
        slots = [data[at : at + SLOT_SIZE] for at in range(0, len(data), SLOT_SIZE)]
        self.occupied = {number for number, slot in enumerate(slots) if slot != _FREE}

    def close(self) -> None:
        os.close(self._descriptor)

    def free(self, count: int) -> list[int]:
        """The numbers of the first free slots."""
        numbers: list[int] = []
        number = 0
        while len(numbers) < count:
            if number not in self.occupied:
                numbers.append(number)
            number += 1
        return numbers

    def write(self, keys: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Write (slot, name, key of 32 bytes) for each, then sync. The slots must be free."""
        for number, name, key in keys:
            slot = self._wrap.seal(key, b"slot", number.to_bytes(4), name) + _MARK
            self.occupied.add(number)
            self._put(number, slot)
        os.fdatasync(self._descriptor)

    def read(self, number: int, name: bytes) -> bytes:
        """The key in a slot; Unsealable for another node key, an empty or a damaged slot."""
        slot = os.pread(self._descriptor, SLOT_SIZE, number * SLOT_SIZE)
        key = self._wrap.unseal(slot[: -len(_MARK)], b"slot", number.to_bytes(4), name)
        if slot[-len(_MARK) :] != _MARK or len(key) != KEY_SIZE:
            raise Unsealable
        return key

    def erase(self, numbers: Iterable[int]) -> None:
        """Overwrite slots, then sync."""
        numbers = list(numbers)
        for number in numbers:
            self._put(number, _FREE)
        if numbers:
            os.fdatasync(self._descriptor)
        self.occupied.difference_update(numbers)

    def _put(self, number: int, slot: bytes) -> None:
        if os.pwrite(self._descriptor, slot, number * SLOT_SIZE) != SLOT_SIZE:
            raise OSError(28, "No space left on device")
