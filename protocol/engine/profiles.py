"""What is known of the other members for adding and dialling them: newest KeyPackages and addresses."""

from __future__ import annotations

from dataclasses import dataclass, field

from starling.protocol.distributed.key_packages import (
    MAX_KEY_PACKAGE,
    MAX_KEY_PACKAGES,
    check_key_package,
)
from starling.protocol.distributed.peer_address import PeerAddress
from starling.protocol.distributed.policy import KEY_PACKAGE_FRESH
from starling.protocol.distributed.rules import Rule
from starling.protocol.engine.context import Context
from starling.protocol.errors import Invalid
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.packed import Blob, Many, Uint, pack, shape, unpack

_ROW = (Many(Blob(MAX_KEY_PACKAGE, 1), MAX_KEY_PACKAGES), Blob(2048), Uint(2**32 - 1))


@dataclass(slots=True)
class Profile:
    """One member: KeyPackages by suite with their serials, its signed addresses, and the highest incarnation that it
    has shown: none of its KeyPackages is of a lower one."""

    key_packages: dict[int, tuple[int, KeyPackage]] = field(default_factory=dict)
    address: PeerAddress | None = None
    incarnation: int = 0

    def wire(self) -> tuple[tuple[bytes, ...], bytes]:
        packages = tuple(package.encode() for _, (_, package) in sorted(self.key_packages.items()))
        return packages, self.address.encode() if self.address is not None else b""


class ProfileStore:
    """Profiles by identity key; only members' profiles are kept, so the roster bounds it."""

    def __init__(self, universe_id: bytes) -> None:
        self._universe_id = universe_id
        self.profiles: dict[bytes, Profile] = {}
        self.revision = 0
        """Higher after every change."""

    def get(self, identity: bytes) -> Profile | None:
        return self.profiles.get(identity)

    def serial(self, identity: bytes, suite: int) -> int:
        profile = self.profiles.get(identity)
        held = profile.key_packages.get(suite) if profile is not None else None
        return held[0] if held is not None else 0

    def key_package(self, identity: bytes, suite: int) -> KeyPackage | None:
        profile = self.profiles.get(identity)
        held = profile.key_packages.get(suite) if profile is not None else None
        return held[1] if held is not None else None

    def fresh_key_package(self, identity: bytes, suite: int, now: int) -> KeyPackage | None:
        """A KeyPackage that its owner still has the keys of, if it has gone on: it deletes them a week after it has
        made the next (X-10)."""
        made_at = self.serial(identity, suite)
        return self.key_package(identity, suite) if now - made_at < KEY_PACKAGE_FRESH else None

    def addresses(self, identity: bytes) -> tuple[str, ...]:
        profile = self.profiles.get(identity)
        return profile.address.texts if profile is not None and profile.address is not None else ()

    def incarnation(self, identity: bytes) -> int:
        """The highest that a member has shown, 0 where it has shown none."""
        profile = self.profiles.get(identity)
        return profile.incarnation if profile is not None else 0

    def note_incarnation(self, ctx: Context, identity: bytes, incarnation: int) -> bool:
        """Note what a member's own leaf says; True where it is news. KeyPackages of a lower one are of no use."""
        if incarnation <= self.incarnation(identity):
            return False
        profile = self.profiles.setdefault(identity, Profile())
        profile.incarnation = incarnation
        profile.key_packages.clear()
        self._save(ctx, identity)
        return True

    def learn_key_packages(
        self, ctx: Context, identity: bytes, incarnation: int, packages: tuple[KeyPackage, ...]
    ) -> bool:
        """Take over what is newer, of this incarnation. Raises `Invalid` or `VerificationFailed` for a package that is
        not the member's own."""
        newer: list[tuple[int, KeyPackage]] = []
        known = self.incarnation(identity)
        for package in packages:
            member = check_key_package(package, universe_id=self._universe_id, identity=identity)
            if member.incarnation != incarnation or incarnation < known:
                raise Invalid(Rule.MEMBER_INCARNATION)
            if incarnation > known or member.serial > self.serial(identity, package.cipher_suite):
                newer.append((member.serial, package))
        self.note_incarnation(ctx, identity, incarnation)
        profile = self.profiles.setdefault(identity, Profile())
        for serial, package in newer:
            profile.key_packages[package.cipher_suite] = (serial, package)
        if newer:
            self._save(ctx, identity)
        return bool(newer)

    def learn_address(self, ctx: Context, identity: bytes, peer_id: bytes, encoded: bytes) -> bool:
        """Take over newer signed addresses of a member with this peer id."""
        address = PeerAddress.decode(encoded)
        if address.peer_id != peer_id:
            raise Invalid(Rule.PEER_ADDRESS_PEER)
        profile = self.profiles.setdefault(identity, Profile())
        if profile.address is not None and profile.address.serial >= address.serial:
            return False
        address.verify(self._universe_id)
        profile.address = address
        self._save(ctx, identity)
        return True

    def forget_key_packages(self, ctx: Context) -> None:
        """They may be so old that their owners have deleted the keys (X-10): newer ones are to be asked for."""
        for identity, profile in self.profiles.items():
            profile.key_packages.clear()
            self._save(ctx, identity)

    def forget(self, ctx: Context, identity: bytes) -> None:
        if self.profiles.pop(identity, None) is not None:
            self.revision += 1
            ctx.delete("profile", self._universe_id + identity)

    def start_anew(self, ctx: Context, identity: bytes, peer_id: bytes) -> None:
        """A member comes back with another send group: what it has shown before is of no use, but where to dial it,
        under the same peer id."""
        held = self.profiles.get(identity)
        address = held.address if held is not None else None
        if address is None or address.peer_id != peer_id:
            self.forget(ctx, identity)
            return
        self.profiles[identity] = Profile(address=address)
        self._save(ctx, identity)

    def load(self, key: bytes, row: bytes) -> None:
        packages, address, incarnation = shape(unpack(row, max_bytes=128 * 1024), _ROW)
        profile = Profile(incarnation=incarnation)
        for encoded in packages:
            package = KeyPackage.decode(encoded)
            member = check_key_package(package, universe_id=self._universe_id)
            profile.key_packages[package.cipher_suite] = (member.serial, package)
        if address:
            profile.address = PeerAddress.decode(address)
        self.profiles[key[32:]] = profile

    def _save(self, ctx: Context, identity: bytes) -> None:
        self.revision += 1
        profile = self.profiles[identity]
        packages, address = profile.wire()
        ctx.put("profile", self._universe_id + identity, pack([list(packages), address, profile.incarnation]))
