"""Keys in fixed places of a file: bound to their place and name, overwritten where they lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from starling.daemon.key_slots import SLOT_SIZE, KeySlots
from starling.daemon.sealing import Nonces, Unsealable

NODE_KEY = bytes(range(32))
KEY = b"k" * 32


def opened(path: Path, key: bytes = NODE_KEY) -> KeySlots:
    return KeySlots(path, key, Nonces())


def test_a_key_comes_back_after_opening_again(tmp_path: Path) -> None:
    slots = opened(tmp_path / "keys")
    slots.write([(3, b"scope", KEY)])
    slots.close()
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600
    slots = opened(tmp_path / "keys")
    assert slots.occupied == {3}
    assert slots.read(3, b"scope") == KEY
    slots.close()


def test_a_slot_holds_64_bytes_and_not_the_key_itself(tmp_path: Path) -> None:
    slots = opened(tmp_path / "keys")
    slots.write([(0, b"a", KEY), (1, b"b", KEY)])
    content = (tmp_path / "keys").read_bytes()
    assert len(content) == 2 * SLOT_SIZE
    assert KEY not in content
    slots.close()


@pytest.mark.parametrize(("number", "name"), [(1, b"scope"), (0, b"other"), (9, b"scope")])
def test_a_key_opens_only_in_its_place_and_under_its_name(tmp_path: Path, number: int, name: bytes) -> None:
    slots = opened(tmp_path / "keys")
    slots.write([(0, b"scope", KEY)])
    content = (tmp_path / "keys").read_bytes()
    with open(tmp_path / "keys", "ab") as file:
        file.write(content)
    with pytest.raises(Unsealable):
        slots.read(number, name)
    slots.close()


def test_another_node_key_opens_nothing(tmp_path: Path) -> None:
    slots = opened(tmp_path / "keys")
    slots.write([(0, b"scope", KEY)])
    slots.close()
    slots = opened(tmp_path / "keys", os.urandom(32))
    with pytest.raises(Unsealable):
        slots.read(0, b"scope")
    slots.close()


@pytest.mark.parametrize("at", [0, 20, 50, 61])
def test_a_changed_slot_is_noticed(tmp_path: Path, at: int) -> None:
    slots = opened(tmp_path / "keys")
    slots.write([(0, b"scope", KEY)])
    content = bytearray((tmp_path / "keys").read_bytes())
    content[at] ^= 1
    (tmp_path / "keys").write_bytes(content)
    with pytest.raises(Unsealable):
        slots.read(0, b"scope")
    slots.close()


def test_an_erased_slot_is_overwritten_in_place_and_free_again(tmp_path: Path) -> None:
    slots = opened(tmp_path / "keys")
    slots.write([(number, b"s%d" % number, KEY) for number in range(4)])
    before = (tmp_path / "keys").read_bytes()
    inode = (tmp_path / "keys").stat().st_ino
    slots.erase([1, 2])
    after = (tmp_path / "keys").read_bytes()
    assert after[SLOT_SIZE : 3 * SLOT_SIZE] == bytes(2 * SLOT_SIZE)
    assert after[:SLOT_SIZE] == before[:SLOT_SIZE]
    assert after[3 * SLOT_SIZE :] == before[3 * SLOT_SIZE :]
    assert (tmp_path / "keys").stat().st_ino == inode
    assert slots.free(3) == [1, 2, 4]
    with pytest.raises(Unsealable):
        slots.read(1, b"s1")
    slots.close()


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "keys").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        opened(tmp_path / "keys")
