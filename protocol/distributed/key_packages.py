"""The KeyPackages that an owner gives out with every path commit, one per suite in use (X-10, 0x8D07)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed.member import UNIVERSE_SUITES, DmlsMember, leaf_identity, verify_member
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.wire import Struct, Vector

MAX_KEY_PACKAGES = 8
MAX_KEY_PACKAGE = 8192
"""An encoded KeyPackage, in bytes: profiles and their rows hold none that is longer."""


@dataclass(frozen=True, slots=True)
class _KeyPackages(Struct):
    key_packages: Vector[KeyPackage]


def build_key_packages(key_packages: Iterable[KeyPackage]) -> bytes:
    """The data of component 0x8D07."""
    listed = tuple(key_packages)
    _check(listed)
    return _KeyPackages(listed).encode()


def parse_key_packages(data: bytes) -> tuple[KeyPackage, ...]:
    """The KeyPackages, themselves unchecked. DecodeError, Invalid for too many or a repeated suite."""
    listed = _KeyPackages.decode(data).key_packages
    _check(listed)
    return listed


def check_key_package(
    key_package: KeyPackage, *, universe_id: bytes, identity: bytes | None = None, now: int | None = None
) -> DmlsMember:
    """Check all of a KeyPackage: itself, its leaf, its `dmls_member` and that send groups use the suite.

    `identity` is whose it must be, where that is known; the lifetime is checked where `now` (ms) is given.
    Raises DecodeError, Invalid, VerificationFailed, Unsupported for a suite that is not known here.
    """
    suite = cipher_suite(key_package.cipher_suite)
    if suite.id not in UNIVERSE_SUITES:
        raise Invalid(Rule.KEY_PACKAGE_SUITE, suite.name)
    if len(key_package.encode()) > MAX_KEY_PACKAGE:
        raise Invalid(Rule.KEY_PACKAGE_SIZE)
    if identity is not None and leaf_identity(key_package.leaf_node) != identity:
        raise Invalid(Rule.MEMBER_IDENTITY)
    key_package.validate(suite, now)
    return verify_member(key_package.leaf_node, universe_id=universe_id)


def _check(listed: tuple[KeyPackage, ...]) -> None:
    suites = {key_package.cipher_suite for key_package in listed}
    if len(listed) > MAX_KEY_PACKAGES or len(suites) != len(listed):
        raise Invalid(Rule.KEY_PACKAGES_COUNT)
