"""This node's own KeyPackages of a universe with their private keys (PROTOCOL X-10, X-12).

Every path commit publishes a fresh one for each suite. An older one goes when every current member has
reported the commit that published its successor, at the latest seven days later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from starling.protocol.distributed.policy import KEY_PACKAGE_RETENTION
from starling.protocol.engine.context import Context
from starling.protocol.mls.key_package import KeyPackage, KeyPackageBundle
from starling.protocol.packed import Blob, Either, Uint, pack, shape, unpack

_ROW = (Blob(8192, 1), Blob(256, 1), Blob(256, 1), Either(None, Uint()), Uint())


@dataclass(slots=True)
class OwnBundle:
    """One KeyPackage of ours; `successor_epoch` is the epoch of our group that published a newer one."""

    serial: int
    bundle: KeyPackageBundle = field(repr=False)
    successor_epoch: int | None = None
    superseded_at: int = 0


class BundleStore:
    """Our KeyPackages by serial and suite."""

    def __init__(self, universe_id: bytes) -> None:
        self._universe_id = universe_id
        self._bundles: dict[bytes, OwnBundle] = {}
        self.last_serial = 0

    def __len__(self) -> int:
        return len(self._bundles)

    def next_serial(self, now: int) -> int:
        """Strictly rising milliseconds (X-10)."""
        self.last_serial = max(now, self.last_serial + 1)
        return self.last_serial

    def add(self, ctx: Context, serial: int, bundle: KeyPackageBundle) -> None:
        own = OwnBundle(serial, bundle)
        key = self._key(own)
        self._bundles[key] = own
        self._save(ctx, key, own)

    def supersede(self, ctx: Context, serial: int, epoch: int) -> None:
        """A commit that starts `epoch` of our group publishes the bundles with this serial."""
        for key, own in self._bundles.items():
            if own.serial < serial and own.successor_epoch is None:
                own.successor_epoch = epoch
                own.superseded_at = ctx.now
                self._save(ctx, key, own)

    def start_anew(self, ctx: Context) -> None:
        """Our group is to be a new one: all that there are are superseded by its first commit."""
        for key, own in self._bundles.items():
            own.successor_epoch = 1
            own.superseded_at = own.superseded_at or ctx.now
            self._save(ctx, key, own)

    def newest(self) -> list[KeyPackage]:
        """The KeyPackages in force, one a suite."""
        found: dict[int, OwnBundle] = {}
        for own in self._bundles.values():
            suite = own.bundle.key_package.cipher_suite
            if suite not in found or found[suite].serial < own.serial:
                found[suite] = own
        return [found[suite].bundle.key_package for suite in sorted(found)]

    def all(self) -> list[KeyPackageBundle]:
        return [own.bundle for own in self._bundles.values()]

    def leaf_private_key(self, encryption_key: bytes) -> bytes | None:
        """The private key of a leaf of ours, by its public key."""
        for own in self._bundles.values():
            if own.bundle.key_package.leaf_node.encryption_key == encryption_key:
                return own.bundle.encryption_private_key
        return None

    @property
    def any_superseded(self) -> bool:
        """Whether there is anything that `forget` might drop."""
        return any(own.successor_epoch is not None for own in self._bundles.values())

    def forget(self, ctx: Context, acknowledged_epoch: int) -> None:
        """Drop what no member can use any more: all have reported `acknowledged_epoch` of our group."""
        for key, own in list(self._bundles.items()):
            if own.successor_epoch is None:
                continue
            late = ctx.now - own.superseded_at > KEY_PACKAGE_RETENTION
            if own.successor_epoch <= acknowledged_epoch or late:
                self._drop(ctx, key)

    def forget_all(self, ctx: Context) -> None:
        """Drop everything: this node is no member any more, or never became one."""
        for key in list(self._bundles):
            self._drop(ctx, key)

    def _drop(self, ctx: Context, key: bytes) -> None:
        del self._bundles[key]
        ctx.delete("bundle", key)
        ctx.erase(self._scope(key))

    def load(self, key: bytes, row: bytes) -> None:
        encoded, init_key, encryption_key, successor, superseded_at = shape(
            unpack(row, max_bytes=65536), _ROW
        )
        serial = int.from_bytes(key[-10:-2])
        bundle = KeyPackageBundle(KeyPackage.decode(encoded), init_key, encryption_key)
        self._bundles[key] = OwnBundle(serial, bundle, successor, superseded_at)
        self.last_serial = max(self.last_serial, serial)

    def _key(self, own: OwnBundle) -> bytes:
        suite = own.bundle.key_package.cipher_suite
        return self._universe_id + own.serial.to_bytes(8) + suite.to_bytes(2)

    @staticmethod
    def _scope(key: bytes) -> bytes:
        return b"bundle:" + key[:16] + key[-10:]

    def _save(self, ctx: Context, key: bytes, own: OwnBundle) -> None:
        bundle = own.bundle
        row = [
            bundle.key_package.encode(), bundle.init_private_key, bundle.encryption_private_key,
            own.successor_epoch, own.superseded_at,
        ]  # fmt: skip
        ctx.put("bundle", key, pack(row), self._scope(key))
