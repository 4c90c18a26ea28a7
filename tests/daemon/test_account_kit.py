"""The sealed file of a backup: what is written is read, and nothing that was changed."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.kits import PASSPHRASE, kit

from starling.daemon import account_kit
from starling.daemon.account_kit import Row, read_kit, write_kit
from starling.daemon.errors import BackupError

pytestmark = pytest.mark.usefixtures("cheap_keys")


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_what_is_written_is_read(tmp_path: Path, count: int) -> None:
    rows: list[Row] = [["message", number, bytes(200), None] for number in range(count)]
    path = kit(tmp_path / "kit", rows)
    assert list(read_kit(path, PASSPHRASE)) == rows
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["kit"]


def test_another_passphrase_opens_nothing(tmp_path: Path) -> None:
    path = kit(tmp_path / "kit", [["word", b"secret value"]])
    assert b"secret value" not in path.read_bytes()
    with pytest.raises(BackupError, match="does not open") as caught:
        list(read_kit(path, PASSPHRASE + "!"))
    assert caught.value.code == "wrong_passphrase"
    assert PASSPHRASE not in str(caught.value)


def test_no_changed_file_is_taken_for_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_kit, "_PIECE", 100)
    path = kit(tmp_path / "kit", [["word", bytes([number]) * 60] for number in range(6)])
    whole = path.read_bytes()
    pieces = []
    start = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    at = start
    while at < len(whole):
        end = at + 4 + int.from_bytes(whole[at : at + 4])
        pieces.append(whole[at:end])
        at = end
    assert len(pieces) > 3
    head = whole[:start]
    changed = [
        head + b"".join(pieces[:-1]),
        head + b"".join(pieces[1:]),
        head + b"".join([pieces[1], pieces[0], *pieces[2:]]),
        head + b"".join([*pieces, pieces[-1]]),
        head,
        whole + b"\x00",
        whole[:-1],
        whole[: start + 2],
        b"something else\n" + whole,
        whole.replace(b"t=1", b"t=2", 1),
        whole.replace(b"argon2id", b"argon2i", 1),
        head + b"\xff\xff\xff\xff" + whole[start + 4 :],
        b"",
    ]
    changed += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(start, len(whole), 37)]
    for data in changed:
        path.write_bytes(data)
        with pytest.raises(BackupError):
            list(read_kit(path, PASSPHRASE))


def test_the_name_of_a_backup_is_on_the_disk_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[bool, bool]] = []
    path = tmp_path / "kit"

    def fsync(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    kit(path, [["word", 1]])
    assert synced == [(False, False), (True, True)]


def test_a_backup_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = kit(tmp_path / "kit", [["word", 1]])
    before = path.read_bytes()
    with pytest.raises(BackupError, match="choose another name") as caught:
        kit(path, [["word", 2]])
    assert caught.value.code == "backup.exists" and path.read_bytes() == before

    def failing() -> Any:
        yield ["word", 1]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_kit(tmp_path / "other", PASSPHRASE, failing(), os.urandom)
    with pytest.raises(BackupError, match="cannot write"):
        kit(tmp_path / "none" / "kit", [])
    with pytest.raises(BackupError, match="cannot read"):
        list(read_kit(tmp_path / "none", PASSPHRASE))
    assert [entry.name for entry in tmp_path.iterdir()] == ["kit"]


def test_what_is_there_already_stays(tmp_path: Path) -> None:
    path, other = tmp_path / "kit", tmp_path / "kit.part"
    other.write_bytes(b"of somebody else")
    kit(path, [["word", 1]])
    assert other.read_bytes() == b"of somebody else"
    late = tmp_path / "late"

    def rows() -> Any:
        yield ["word", 1]
        late.write_bytes(b"came meanwhile")

    with pytest.raises(BackupError, match="choose another name"):
        write_kit(late, PASSPHRASE, rows(), os.urandom)
    assert late.read_bytes() == b"came meanwhile"
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    with pytest.raises(BackupError, match="choose another name"):
        kit(link, [])
    assert link.is_symlink()
    assert {entry.name for entry in tmp_path.iterdir()} == {"kit", "kit.part", "late", "link"}


@pytest.mark.parametrize("name", ["/", "/tmp/a\0b"])
def test_what_names_no_file_is_refused(name: str) -> None:
    with pytest.raises(BackupError, match="not the name of a file"):
        kit(Path(name), [])


def test_only_a_file_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(BackupError, match="not a plain file"):
            list(read_kit(path, PASSPHRASE))
