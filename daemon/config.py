"""The configuration: one TOML file, every key optional; `configs/starling.toml` shows all defaults."""

from __future__ import annotations

import difflib
import ipaddress
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from starling.daemon.errors import ConfigError

LOG_LEVELS = ("debug", "info", "warning", "error")
READMIT = ("confirm", "automatic")
ROLES = ("member", "archiver")


@dataclass(frozen=True, slots=True)
class Config:
    """What can be set. Field names are `section_key` of the file."""

    network_listen: tuple[str, ...] = ("/ip4/0.0.0.0/tcp/0",)
    network_mdns: bool = True
    log_level: str = "info"
    events_keep: int = 100_000
    universe_readmit: str = "confirm"
    node_role: str = "member"
    archiver_quota: int = 512
    """Of each universe, in MiB."""


def read_config(path: Path) -> Config:
    """The configuration in a file, the defaults where there is none; ConfigError with file and key."""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    return parse_config(text, str(path))


def parse_config(text: str, file: str) -> Config:
    """The same for a text; `file` is its name in errors."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: {error}") from None
    sections = sorted({name.split("_", 1)[0] for name in _KEYS.values()})
    known = sorted(_KEYS)
    values: dict[str, Any] = {}
    for section, content in table.items():
        if section not in sections:
            raise _unknown(file, section, sections)
        if not isinstance(content, dict):
            raise ConfigError(f"{file}: '{section}' is a section: write [{section}]")
        for key, value in content.items():
            full = f"{section}.{key}"
            if full not in _KEYS:
                raise _unknown(file, full, known)
            try:
                values[_KEYS[full]] = _CHECKS[full](value)
            except ValueError as error:
                raise ConfigError(f"{file}: {full} {error}") from None
    return Config(**values)


def _unknown(file: str, name: str, known: list[str]) -> ConfigError:
    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
    return ConfigError(f"{file}: unknown key '{name}'; {hint}")


def check_listen_address(text: str) -> str:
    """A multiaddr to listen on, `/ip4/ADDRESS/tcp/PORT` or `/ip6/...`; ValueError says what is wrong."""
    parts = text.split("/")
    if len(parts) != 5 or parts[0] or parts[1] not in ("ip4", "ip6") or parts[3] != "tcp":
        raise ValueError(f"must hold addresses like '/ip4/0.0.0.0/tcp/4001', not {text!r}")
    try:
        address = ipaddress.ip_address(parts[2])
    except ValueError:
        raise ValueError(f"has {text!r}, in which {parts[2]!r} is no IP address") from None
    if address.version != int(parts[1][2]):
        raise ValueError(f"has {text!r}, in which {parts[2]!r} is no {parts[1]} address")
    if not parts[4].isascii() or not parts[4].isdigit() or int(parts[4]) > 65535:
        raise ValueError(f"has {text!r}, in which the port is not 0 to 65535")
    return text


def _addresses(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"must be a list of addresses like ['/ip4/0.0.0.0/tcp/4001'], not {value!r}")
    if len(value) > 16:
        raise ValueError("has more than 16 addresses")
    return tuple(check_listen_address(item) for item in value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    return value


def _one_of(*words: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}, not {value!r}")
        return str(value)

    return check


def _between(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}, not {value!r}")
        return value

    return check


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "network.listen": _addresses,
    "network.mdns": _boolean,
    "log.level": _one_of(*LOG_LEVELS),
    "events.keep": _between(1_000, 10_000_000),
    "universe.readmit": _one_of(*READMIT),
    "node.role": _one_of(*ROLES),
    "archiver.quota": _between(1, 1_048_576),
}
_KEYS = {field.name.replace("_", ".", 1): field.name for field in fields(Config)}
