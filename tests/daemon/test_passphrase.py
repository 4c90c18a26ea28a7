"""A store locked by a passphrase: what is asked, what is refused, and what the key file gives away."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.daemon.command_line import MAIN
from tests.daemon.node import running

from starling.daemon import data_directory
from starling.daemon.errors import DaemonError, PlaceError
from starling.daemon.passphrase import PassphraseKey, read_passphrase_file
from starling.daemon.paths import Paths

PASSPHRASE = "correct horse bättery"


def locked_home(tmp_path: Path) -> Paths:
    paths = Paths.find(str(tmp_path / "home"), {})
    data_directory.init(paths, "Ann", PASSPHRASE)
    return paths


def secret_file(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def test_the_key_is_that_of_argon2id() -> None:
    """A known answer of the algorithm's reference implementation: RFC 9106 has none without a secret."""
    key = PassphraseKey(b"somesalt", 2, 256, 1)
    known = "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"
    assert key.derive("password").hex() == known
    key = PassphraseKey(bytes(range(16)), 2, 256, 1)
    assert PassphraseKey.parse(key.line()) == key
    # However an umlaut was typed.
    assert key.derive("b\u00e4") == key.derive("ba\u0308")
    assert key.derive("b\u00e4") != key.derive("ba")


@pytest.mark.parametrize(
    "line",
    [
        "argon2id t=0 m=65536 p=4 salt=" + "00" * 16,
        "argon2id t=3 m=8 p=4 salt=" + "00" * 16,
        "argon2id t=3 m=99999999 p=4 salt=" + "00" * 16,
        "argon2id t=3 m=65536 p=0 salt=" + "00" * 16,
        "argon2id t=3 m=65536 p=4 salt=" + "00" * 15,
        "argon2i t=3 m=65536 p=4 salt=" + "00" * 16,
    ],
)
def test_a_key_file_with_other_costs_than_may_be_is_none(tmp_path: Path, line: str) -> None:
    paths = locked_home(tmp_path)
    paths.key_file.write_text(line + "\n")
    from starling.daemon.node_key import read_key_file

    with pytest.raises(PlaceError, match="not a key file"):
        read_key_file(paths.key_file, lambda: PASSPHRASE)


async def test_the_passphrase_opens_the_store_and_nothing_else_does(tmp_path: Path) -> None:
    paths = locked_home(tmp_path)
    assert paths.key_file.stat().st_mode & 0o777 == 0o600
    assert paths.key_file.read_text().startswith("argon2id t=3 m=65536 p=4 salt=")
    async with running(paths, ask_passphrase=lambda: PASSPHRASE) as node:
        await (await node.client()).result("universe.create", name="lab")
    with pytest.raises(DaemonError, match="this passphrase does not open the store") as caught:
        async with running(paths, ask_passphrase=lambda: PASSPHRASE + "!"):
            pass
    assert caught.value.code == "wrong_passphrase"
    assert PASSPHRASE not in str(caught.value)
    with pytest.raises(DaemonError, match="nobody to ask"):
        async with running(paths):
            pass
    # A right passphrase with another salt is a wrong one.
    paths.key_file.write_text(PassphraseKey.generate(os.urandom).line())
    with pytest.raises(DaemonError, match="does not open"):
        async with running(paths, ask_passphrase=lambda: PASSPHRASE):
            pass


def test_a_passphrase_file_is_private_text_of_some_length(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "secret", PASSPHRASE + "\n")
    assert read_passphrase_file(path) == PASSPHRASE
    path.write_text("two\nlines\n")
    assert read_passphrase_file(path) == "two\nlines"
    for text in ("", "\n", "short\n", "x" * 1025):
        path.write_text(text)
        with pytest.raises(PlaceError, match="8 to 1024 characters"):
            read_passphrase_file(path)
    path.write_bytes(b"\xff" * 20)
    with pytest.raises(PlaceError, match="UTF-8"):
        read_passphrase_file(path)
    path.chmod(0o640)
    with pytest.raises(PlaceError, match="chmod 600"):
        read_passphrase_file(path)
    with pytest.raises(PlaceError, match="cannot read"):
        read_passphrase_file(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    writer = subprocess.Popen(
        [sys.executable, "-c", f"open({str(tmp_path / 'pipe')!r}, 'w').write('piped secret')"]
    )
    assert read_passphrase_file(tmp_path / "pipe") == "piped secret"
    assert writer.wait(10) == 0


def test_the_real_daemon_with_a_passphrase_file(tmp_path: Path) -> None:
    home, secret = tmp_path / "home", secret_file(tmp_path / "secret", PASSPHRASE + "\n")
    base = [*MAIN, "--home", str(home)]
    done = subprocess.run(
        [*base, "init", "--name", "Ann"],
        capture_output=True,
        text=True,
        env=os.environ | {"STARLING_PASSPHRASE_FILE": str(secret)},
    )
    assert done.returncode == 0, done.stderr
    assert "locked by the passphrase" in done.stdout
    (home / "starling.toml").write_text("[network]\nlisten = []\nmdns = false\n")

    def daemon(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*base, "daemon", "--stdio", *arguments],
            input='{"jsonrpc":"2.0","id":1,"method":"profile.get"}\n',
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | variables,
        )

    good = daemon("--passphrase-file", str(secret))
    assert (good.returncode, json.loads(good.stdout)["result"]["name"]) == (0, "Ann"), good.stderr
    wrong = secret_file(tmp_path / "wrong", "another one")
    for done, word in [
        (daemon(STARLING_PASSPHRASE_FILE=str(wrong)), "this passphrase does not open the store"),
        (daemon(), "--passphrase-file or STARLING_PASSPHRASE_FILE"),
    ]:
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert word in done.stderr
    for path in home.iterdir():
        if path.is_file():
            assert PASSPHRASE.encode() not in path.read_bytes()


def in_terminal(arguments: list[str], *answers: str) -> tuple[int, str]:
    """Run with a terminal of its own, answering each prompt; exit code, and what the terminal showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(arguments[0], arguments)
    shown = b""
    left = list(answers)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and select.select([terminal], [], [], 60)[0]:
        try:
            chunk = os.read(terminal, 1000)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
        if shown.endswith(b": ") and left:
            os.write(terminal, left.pop(0).encode() + b"\n")
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_init_asks_twice_in_a_terminal(tmp_path: Path) -> None:
    init = [*MAIN, "--home", str(tmp_path / "home"), "init", "--name", "Ann", "--passphrase"]
    code, shown = in_terminal(init, PASSPHRASE, PASSPHRASE + "x")
    assert (code, "two different passphrases" in shown) == (1, True), shown
    code, shown = in_terminal(init, PASSPHRASE, PASSPHRASE)
    assert (code, "Ann is ready" in shown) == (0, True), shown
    assert PASSPHRASE not in shown
    code, shown = in_terminal([*MAIN, "--home", str(tmp_path / "home"), "daemon"], "not the right one")
    assert (code, "does not open the store" in shown) == (1, True), shown
