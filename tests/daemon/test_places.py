"""Data and runtime directories: where they are, and when they are refused. The lock on them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from starling.daemon.app import no_passphrase
from starling.daemon.errors import LockedError, PlaceError
from starling.daemon.lock import single_writer
from starling.daemon.node_key import create_key_file, read_key_file
from starling.daemon.paths import SUN_PATH, Paths, private_directory


def test_xdg_places() -> None:
    environ = {"HOME": "/home/ann", "XDG_RUNTIME_DIR": "/run/user/7"}
    found = Paths.find(None, environ)
    assert found.data == Path("/home/ann/.local/share/starling")
    assert found.config == Path("/home/ann/.config/starling/starling.toml")
    assert found.socket == Path("/run/user/7/starling/socket")
    environ |= {"XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "not/absolute", "XDG_RUNTIME_DIR": ""}
    found = Paths.find(None, environ)
    assert found.data == Path("/data/starling")
    assert found.config == Path("/home/ann/.config/starling/starling.toml")
    assert found.socket == Path("/data/starling/run/socket")


def test_home_comes_first_then_the_variable() -> None:
    environ = {"HOME": "/home/ann", "XDG_RUNTIME_DIR": "/run/user/7", "STARLING_HOME": "/one"}
    assert Paths.find("/two", environ).socket == Path("/two/run/socket")
    assert Paths.find(None, environ).config == Path("/one/starling.toml")


def test_a_long_path_gets_a_short_socket_of_its_own(tmp_path: Path) -> None:
    long = "/" + "d" * 120
    one = Paths.find(long, {"XDG_RUNTIME_DIR": "/run/user/7"})
    two = Paths.find(long + "e", {"XDG_RUNTIME_DIR": "/run/user/7"})
    assert one.socket.parent == Path("/run/user/7/starling")
    assert one.socket != two.socket
    assert one == Paths.find(long, {"XDG_RUNTIME_DIR": "/run/user/7"})
    far = Paths.find(long, {"XDG_RUNTIME_DIR": long})
    assert len(os.fsencode(far.socket)) <= SUN_PATH
    assert far.socket.parent == Path(f"/tmp/starling-{os.geteuid()}")


def test_a_new_directory_is_private(tmp_path: Path) -> None:
    made = private_directory(tmp_path / "a" / "b", create=True)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert private_directory(made, create=False) == made


def test_places_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlaceError, match="starling init"):
        private_directory(tmp_path / "none", create=False)
    (tmp_path / "open").mkdir(mode=0o700)
    (tmp_path / "open").chmod(0o750)
    with pytest.raises(PlaceError, match=r"mode 0750\); run: chmod 700"):
        private_directory(tmp_path / "open", create=True)
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(PlaceError, match="symbolic link"):
        private_directory(tmp_path / "link", create=True)
    (tmp_path / "file").touch()
    with pytest.raises(PlaceError, match="not a directory"):
        private_directory(tmp_path / "file", create=True)
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(PlaceError, match=f"another user \\(uid {uid}\\)"):
        private_directory(tmp_path / "real", create=True)


def test_the_key_file(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    key = create_key_file(path, os.urandom)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key_file(path, no_passphrase) == (key, False)
    with pytest.raises(PlaceError, match="cannot write"):
        create_key_file(path, os.urandom)
    path.chmod(0o640)
    with pytest.raises(PlaceError, match="chmod 600"):
        read_key_file(path, no_passphrase)
    path.chmod(0o600)
    path.write_text("short")
    with pytest.raises(PlaceError, match="not a key file"):
        read_key_file(path, no_passphrase)
    path.unlink()
    with pytest.raises(PlaceError, match="is missing"):
        read_key_file(path, no_passphrase)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PlaceError, match="not a plain file"):
        read_key_file(path, no_passphrase)


_HOLD = """
import sys
from pathlib import Path
from starling.daemon.lock import single_writer
with single_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_lock_is_of_one_process_and_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder.stdin, holder.stdout:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"pid {holder.pid}"), single_writer(path):
            pass
        holder.kill()
        holder.wait(10)
    with single_writer(path):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(PlaceError, match="lock file"), single_writer(tmp_path / "lock"):
        pass
    assert not (tmp_path / "victim").exists()
