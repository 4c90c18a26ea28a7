"""The daemon as a whole: starting, not starting, restarting, ending."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio
from tests.daemon.node import CONFIG, home, running

from starling.daemon import app, data_directory
from starling.daemon.errors import DaemonError, LockedError, PlaceError, StoreError
from starling.daemon.node_key import create_key_file
from starling.daemon.paths import Paths
from starling.daemon.store import DATABASE, SLOTS
from starling.p2p.memory import MemoryHub


async def test_init_twice_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    paths = home(tmp_path)
    before = {file.name: file.read_bytes() for file in paths.data.iterdir() if file.name != "lock"}
    with pytest.raises(DaemonError, match=r"identity in .* already"):
        data_directory.init(paths, "Eve")
    assert {file.name: file.read_bytes() for file in paths.data.iterdir() if file.name != "lock"} == before


async def test_init_spares_the_key_of_a_store_that_lacks_a_file(tmp_path: Path) -> None:
    """It may be put back: without the key file nothing would open then."""
    paths = home(tmp_path)
    key, slots = paths.key_file.read_bytes(), (paths.data / SLOTS).read_bytes()
    (paths.data / SLOTS).unlink()
    with pytest.raises(DaemonError):
        data_directory.init(paths, "Eve")
    assert paths.key_file.read_bytes() == key
    (paths.data / SLOTS).write_bytes(slots)
    (paths.data / SLOTS).chmod(0o600)
    async with running(paths) as node:
        assert node.engine.identity.name == "Ann"


async def test_an_init_that_was_cut_short_can_be_repeated(tmp_path: Path) -> None:
    paths = Paths.find(str(tmp_path / "home"), {})
    paths.data.mkdir(mode=0o700)
    create_key_file(paths.key_file, os.urandom)
    (paths.data / SLOTS).write_bytes(bytes(64) + os.urandom(64))
    (paths.data / DATABASE).touch()
    data_directory.init(paths, "Ann")
    async with running(paths) as node:
        assert node.engine.identity.name == "Ann"


async def test_no_init_before(tmp_path: Path) -> None:
    with pytest.raises(PlaceError, match="starling init"):
        async with running(Paths.find(str(tmp_path / "home"), {})):
            pass
    paths = Paths.find(str(tmp_path / "empty"), {})
    paths.data.mkdir(mode=0o700)
    with pytest.raises(DaemonError, match=r"node\.key is missing|starling init"):
        async with running(paths):
            pass


async def test_a_second_daemon_is_refused(tmp_path: Path) -> None:
    paths = home(tmp_path)
    async with running(paths):
        with pytest.raises(LockedError, match="stop it first"):
            async with running(paths):
                pass


async def test_another_key_file_is_refused(tmp_path: Path) -> None:
    paths = home(tmp_path)
    paths.key_file.write_text("00" * 32)
    with pytest.raises(StoreError, match="key file does not open"):
        async with running(paths):
            pass


async def test_the_port_is_kept_and_another_taken_where_it_is_in_use(tmp_path: Path) -> None:
    paths = home(tmp_path)
    hub = MemoryHub()
    async with running(paths, hub=hub) as node:
        (first,) = node.ready["addresses"]
    async with running(paths, hub=hub) as node:
        assert node.ready["addresses"] == [first]
    other = home(tmp_path / "other")
    async with running(other, dataclasses.replace(CONFIG, network_listen=(first,)), hub=hub):
        async with running(paths, hub=hub) as node:
            (moved,) = node.ready["addresses"]
            assert moved != first
        with pytest.raises(DaemonError, match=r"cannot listen on .* network\.listen") as caught:
            third = home(tmp_path / "third")
            async with running(third, dataclasses.replace(CONFIG, network_listen=(first,)), hub=hub):
                pass
        assert caught.value.code == "listen"


async def test_what_was_saved_is_there_after_a_restart(tmp_path: Path) -> None:
    paths = home(tmp_path)
    async with running(paths) as node:
        client = await node.client()
        await client.result("universe.create", name="lab")
        await client.result("message.send", universe="lab", body="hi", id="ab" * 16)
    async with running(paths) as node:
        assert list(node.engine.names.values()) == ["lab"]
        assert node.engine.messages == {b"\xab" * 16: b"hi"}


async def test_a_stale_socket_is_replaced_and_a_foreign_file_is_not(tmp_path: Path) -> None:
    import socket

    paths = home(tmp_path)
    paths.runtime.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(paths.socket))
    async with running(paths) as node:
        assert await (await node.client()).result("ping")
    paths.socket.write_text("mine")
    with pytest.raises(PlaceError, match="in the way"):
        async with running(paths):
            pass
    assert paths.socket.read_text() == "mine"


async def test_a_socket_of_a_living_daemon_is_not_taken(tmp_path: Path) -> None:
    one, two = home(tmp_path / "one"), home(tmp_path / "two")
    async with running(one):
        with pytest.raises(LockedError, match="listens on"):
            async with running(two._replace(runtime=one.runtime, socket=one.socket)):
                pass


def test_the_real_daemon_starts_and_ends_on_sigterm(tmp_path: Path) -> None:
    """On real parts: libp2p, the engine, SQLite; quick and quiet at the end."""
    base = [sys.executable, "-m", "starling.daemon.cli.main", "--home", str(tmp_path / "home")]
    subprocess.run([*base, "init", "--name", "Ann"], check=True, capture_output=True)
    (tmp_path / "home" / "starling.toml").write_text(
        '[network]\nlisten = ["/ip4/127.0.0.1/tcp/0"]\nmdns = false\n'
    )
    daemon = subprocess.Popen([*base, "daemon"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert daemon.stdout is not None
    assert daemon.stderr is not None
    with daemon.stdout, daemon.stderr:
        ready = daemon.stdout.readline()
        try:
            assert ready.startswith("ready socket="), daemon.stderr.read()
            second = subprocess.run([*base, "daemon"], capture_output=True, text=True)
            assert (second.returncode, second.stderr.count("\n")) == (1, 1)
            assert "uses" in second.stderr
            made = subprocess.run([*base, "universe", "create", "lab"], capture_output=True, text=True)
            assert made.returncode == 0, made.stderr
        finally:
            began = time.monotonic()
            daemon.send_signal(signal.SIGTERM)
            code = daemon.wait(20)
        assert time.monotonic() - began < 5
        assert (code, "Traceback" in daemon.stderr.read()) == (0, False)
    gone = subprocess.run([*base, "status"], capture_output=True, text=True)
    assert gone.returncode == 3


async def test_sigint_and_sigterm_end_it(tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        async with running(home(tmp_path / number.name)) as node:
            os.kill(os.getpid(), number)
            with trio.fail_after(5):
                await node.ended.wait()


def test_a_slow_start_says_what_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from starling.daemon.cli import node

    monkeypatch.setattr(node, "_PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(node, "import_module", lambda name: time.sleep(0.1))
    node._load()
    assert "loading the network layer" in capsys.readouterr().err
    monkeypatch.setattr(node, "_PATIENCE_SECONDS", 10)
    monkeypatch.setattr(node, "import_module", lambda name: None)
    node._load()
    assert capsys.readouterr().err == ""


async def test_what_is_wrong_with_the_places_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    def load() -> None:
        raise AssertionError("loaded for nothing")

    paths = home(tmp_path)
    (paths.data / "keys").write_bytes(bytes(128))
    with pytest.raises(StoreError, match="key file does not open"):
        await app.run(paths, CONFIG, ready=print, load=load)
