"""The configuration file: its defaults, and one line for everything that is wrong with it."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import pytest

from starling.daemon.config import Config, parse_config, read_config
from starling.daemon.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "configs" / "starling.toml"


def test_the_example_holds_every_key_with_its_default() -> None:
    assert read_config(EXAMPLE) == Config()
    written = tomllib.loads(EXAMPLE.read_text())
    keys = {f"{section}_{key}" for section, content in written.items() for key in content}
    assert keys == {field.name for field in dataclasses.fields(Config)}


def test_a_missing_file_gives_the_defaults(tmp_path: Path) -> None:
    assert read_config(tmp_path / "none.toml") == Config()


def test_values_are_read() -> None:
    config = parse_config('[network]\nlisten = ["/ip4/127.0.0.1/tcp/1"]\n[log]\nlevel = "debug"\n', "f")
    assert config.network_listen == ("/ip4/127.0.0.1/tcp/1",)
    assert config.network_mdns is True
    assert config.log_level == "debug"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[network]\nlisen = []", ("network.lisen", "network.listen")),
        ("[netwrk]\nmdns = true", ("netwrk", "network")),
        ("[events]\nkep = 5000", ("events.kep", "events.keep")),
        ("network = 1", ("network", "[network]")),
        ("[network]\nmdns = 1", ("network.mdns", "true or false")),
        ("[events]\nkeep = true", ("events.keep",)),
        ("[events]\nkeep = 1", ("events.keep", "1000", "10000000")),
        ("[log]\nlevel = 'loud'", ("log.level", "debug", "error")),
        ("[network]\nlisten = '/ip4'", ("network.listen",)),
        ("[network]\nlisten = ['0.0.0.0:1']", ("network.listen", "0.0.0.0:1")),
        ("[universe]\nreadmit = 'never'", ("universe.readmit", "confirm", "automatic")),
        ("[network", ("f.toml",)),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, named: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "f.toml")
    line = str(caught.value)
    assert "\n" not in line
    for word in ("f.toml", *named):
        assert word in line


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        read_config(tmp_path / "f.toml")


def test_a_directory_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path)
