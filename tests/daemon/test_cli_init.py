"""`starling init`, and a daemon that cannot begin."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.daemon.command_line import failed, starling


def test_init_makes_a_private_node_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = starling(home, "init", "--name", "Alice", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["name"] == "Alice"
    assert made["peer_id"].startswith("12D3")
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "node.key").stat().st_mode & 0o777 == 0o600
    key = (home / "node.key").read_bytes()
    failed(starling(home, "init", "--name", "Eve"), 1, str(home), "--home")
    assert (home / "node.key").read_bytes() == key


def test_init_after_one_that_was_interrupted(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert starling(home, "init", "--name", "Alice").returncode == 0
    for left in home.glob("starling.db*"):
        left.unlink()
    assert starling(home, "init", "--name", "Alice").returncode == 0


def test_init_refuses_what_others_could_read(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    failed(starling(home, "init", "--name", "Alice"), 1, "chmod 700", str(home))
    failed(starling(tmp_path / "other", "init", "--name", " "), 2, "1 to 64")
    (tmp_path / "link").symlink_to(home)
    failed(starling(tmp_path / "link", "init", "--name", "Alice"), 1, "symbolic link")


def test_init_beside_another_process(tmp_path: Path) -> None:
    from starling.daemon.lock import single_writer

    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with single_writer(home / "lock"):
        failed(starling(home, "init", "--name", "Alice"), 1, str(os.getpid()), "--home")


def test_a_config_typo_ends_the_daemon_at_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert starling(home, "init", "--name", "Alice").returncode == 0
    (home / "starling.toml").write_text("[network]\nlisen = []\n")
    failed(starling(home, "daemon"), 2, "starling.toml", "network.lisen", "network.listen")
    failed(starling(home, "daemon", "--config", str(tmp_path / "none")), 2, "none", "--config")
