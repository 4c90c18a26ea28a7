"""No secret and no plaintext is in what a value shows of itself: tracebacks and logs show that."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
from types import ModuleType
from typing import Any

import pytest

import starling.daemon
import starling.p2p
import starling.protocol
from starling.protocol.mls.ratchet import MessageKey, SkippedKey

SECRET = re.compile(
    r"^(?!encrypted_|has_)(.*_)?(secret|private_key|private_keys|signing_key|mac_key|psk|passphrase|application_data"
    r"|inner_application_content)$"
)
"""Fields that hold what nobody else is to see; what is encrypted may be shown."""


def classes(package: ModuleType) -> list[type]:
    names = [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    found = (
        value
        for name in names
        if not name.endswith("__main__")
        for value in vars(importlib.import_module(name)).values()
        if inspect.isclass(value) and value.__module__ == name
    )
    return list(found)


def shown_fields(cls: Any) -> list[str]:
    settings = getattr(cls, "__dataclass_params__", None)
    if settings is None or not settings.repr:
        return []
    plain = ("bytes", "str", "opaque", "Secret", "PrivateKey")
    return [
        field.name
        for field in dataclasses.fields(cls)
        if field.repr and SECRET.match(field.name) and any(word in str(field.type) for word in plain)
    ]


@pytest.mark.parametrize("package", [starling.protocol, starling.p2p, starling.daemon])
def test_no_field_with_a_secret_is_shown(package: ModuleType) -> None:
    found = classes(package)
    assert len(found) > 20
    assert {cls.__qualname__: shown_fields(cls) for cls in found if shown_fields(cls)} == {}


def test_a_field_with_a_secret_would_be_found() -> None:
    fields = [("psk", "bytes"), ("encrypted_path_secret", "opaque"), ("signature_private_key", "opaque")]
    assert shown_fields(dataclasses.make_dataclass("Holder", fields)) == ["psk", "signature_private_key"]


def test_the_key_of_a_message_is_not_shown() -> None:
    shown = repr(MessageKey(b"k" * 16, b"n" * 12)) + repr(SkippedKey(7, b"k" * 16, b"n" * 12))
    assert "kkkk" not in shown and "nnnn" not in shown
