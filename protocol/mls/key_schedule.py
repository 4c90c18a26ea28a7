"""The key schedule and the secrets of an epoch (RFC 9420 §8).

`KeySchedule` is RFC 9420's; another schedule is a subclass that says how a child's init secret comes from
its parent and
what an epoch derives besides. Everything else (joiner, welcome and epoch secret) is common to all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.secret import Secret
from starling.protocol.errors import Invalid, UsageError
from starling.protocol.mls.extension import KEY_SCHEDULE_EXTENSIONS, Extension
from starling.protocol.mls.node_secrets import NodeRecord, NodeSecrets
from starling.protocol.mls.rules import Rule


class _EpochSecret:
    """A read-only attribute of `EpochSecrets`; reading one that was deleted is the caller's fault."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: EpochSecrets, owner: type | None = None) -> bytes:
        return instance.get(self._name)


class EpochSecrets:
    """The secrets of one epoch (RFC 9420 §8, table 4), Nh bytes each.

    One owner: it refuses to be copied or pickled and prints nothing. A secret that is not kept reads as a
    `UsageError`.
    `extra` has the values, public or secret, that a key schedule of its own adds by name. `init_nodes` is
    there where it derives the init secrets of several children, each once, in place of one `init_secret`.
    What extensions derive (`Derivation`) is held by name among the rest.
    """

    __slots__ = ("_secrets", "extra", "init_nodes")

    sender_data_secret = _EpochSecret()
    encryption_secret = _EpochSecret()
    exporter_secret = _EpochSecret()
    external_secret = _EpochSecret()
    confirmation_key = _EpochSecret()
    membership_key = _EpochSecret()
    resumption_psk = _EpochSecret()
    epoch_authenticator = _EpochSecret()
    init_secret = _EpochSecret()
    application_export_secret = _EpochSecret()

    def __init__(
        self,
        secrets: Mapping[str, bytes],
        extra: Mapping[str, bytes] | None = None,
        init_nodes: NodeSecrets | None = None,
    ) -> None:
        self._secrets = {name: Secret(value) for name, value in secrets.items()}
        self.extra: dict[str, bytes] = dict(extra or {})
        self.init_nodes = init_nodes

    def get(self, name: str) -> bytes:
        """The secret of that name; `UsageError` where it was deleted."""
        secret = self._secrets.get(name)
        if secret is None:
            raise UsageError(f"this epoch does not hold its {name} any more")
        return bytes(secret)

    def holds(self, name: str) -> bool:
        """Whether the secret of that name is still there."""
        return name in self._secrets

    def take(self, name: str) -> bytes:
        """The secret of that name, which is deleted here."""
        value = self.get(name)
        self._secrets.pop(name).wipe()
        return value

    def add(self, secrets: Mapping[str, bytes]) -> None:
        """Hold further secrets of the epoch, by names of their own (`Derivation`)."""
        for name, value in secrets.items():
            assert name not in self._secrets, f"{name} is there already"
            self._secrets[name] = Secret(value)

    def forget(self, names: Iterable[str]) -> bool:
        """Wipe these; whether any of them was there."""
        held = [name for name in names if name in self._secrets]
        for name in held:
            self._secrets.pop(name).wipe()
        return bool(held)

    def keep_only(self, names: Iterable[str]) -> None:
        """Wipe all but these; `extra` stays."""
        self.forget(self._secrets.keys() - set(names))

    def items(self) -> list[tuple[str, bytes]]:
        """Names and values of what is held, for saving."""
        return [(name, bytes(secret)) for name, secret in self._secrets.items()]

    def wipe(self) -> None:
        """Delete everything, `extra` included."""
        self.keep_only(())
        self.extra.clear()
        self.wipe_init()

    def wipe_init(self) -> None:
        """Delete what init secrets come from: no further child can be entered."""
        if "init_secret" in self._secrets:
            self._secrets.pop("init_secret").wipe()
        if self.init_nodes is not None:
            self.init_nodes.wipe()

    def __repr__(self) -> str:
        return "<EpochSecrets>"

    def __copy__(self) -> NoReturn:
        raise TypeError("epoch secrets are not copied")

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        raise TypeError("epoch secrets are not copied")

    def __reduce__(self) -> NoReturn:
        raise TypeError("epoch secrets are not pickled")


class KeySchedule:
    """RFC 9420's schedule, and the seam for others."""

    name = "rfc9420"
    labels: Mapping[str, str] = {
        "sender_data_secret": "sender data",
        "encryption_secret": "encryption",
        "exporter_secret": "exporter",
        "external_secret": "external",
        "confirmation_key": "confirm",
        "membership_key": "membership",
        "resumption_psk": "resumption",
        "epoch_authenticator": "authentication",
        "init_secret": "init",
        "application_export_secret": "application_export",
    }
    """What an epoch derives from its epoch_secret, by label (RFC 9420 §8, table 4; extensions draft §4.4)."""

    extension_type: int | None = None
    """The GroupContext extension, of no data, by which a group has this schedule; None for RFC 9420's."""

    def check_context(self, extensions: Iterable[Extension]) -> None:
        """Raises `Invalid` where a GroupContext asks for another key schedule: it never changes."""
        asked = [item for item in extensions if item.extension_type in KEY_SCHEDULE_EXTENSIONS]
        if asked != ([] if self.extension_type is None else [Extension(self.extension_type, b"")]):
            raise Invalid(Rule.KEY_SCHEDULE)

    def init_input(
        self, suite: CipherSuite, root_path_secret: bytes | None, child_group_context: bytes
    ) -> bytes:
        """What tells the init secret of one child from that of another. `root_path_secret` is None for a
        commit without a path, `child_group_context` is the child's, encoded. RFC 9420 has one for all."""
        return b""

    def init_secret(self, suite: CipherSuite, parent: EpochSecrets, init_input: bytes) -> bytes:
        """The init secret of a child; nothing is deleted, since its commit may still prove wrong."""
        return parent.init_secret

    def load_init_nodes(self, suite: CipherSuite, nodes: Iterable[NodeRecord]) -> NodeSecrets | None:
        """The saved nodes of a schedule that has them."""
        return None

    def puncture(self, suite: CipherSuite, parent: EpochSecrets, init_input: bytes) -> None:
        """Delete what leads to the init secret of a child that was entered. RFC 9420's leads to all of them."""
        parent.wipe_init()

    def enter(self, suite: CipherSuite, epoch_secret: bytes) -> EpochSecrets:
        """All secrets of the epoch that has this epoch_secret (Nh bytes)."""
        return EpochSecrets(
            {name: suite.derive_secret(epoch_secret, label) for name, label in self.labels.items()}
        )


RFC9420 = KeySchedule()
"""The schedule of RFC 9420."""


def joiner_secret(
    suite: CipherSuite, init_secret: bytes, commit_secret: bytes, group_context: bytes
) -> bytes:
    """joiner_secret from the init secret, the commit secret and the encoded GroupContext (RFC 9420 §8)."""
    extracted = suite.extract(init_secret, commit_secret)
    return suite.expand_with_label(extracted, "joiner", group_context, suite.hash_length)


def welcome_secret(suite: CipherSuite, joiner: bytes, psk_secret: bytes) -> bytes:
    """welcome_secret, of which the GroupInfo's key and nonce come (RFC 9420 §8, §12.4.3.1)."""
    return suite.derive_secret(suite.extract(joiner, psk_secret), "welcome")


def welcome_key_nonce(suite: CipherSuite, joiner: bytes, psk_secret: bytes) -> tuple[bytes, bytes]:
    """The key and nonce that encrypt the GroupInfo in a Welcome (RFC 9420 §12.4.3.1)."""
    secret = welcome_secret(suite, joiner, psk_secret)
    key = suite.expand_with_label(secret, "key", b"", suite.key_length)
    return key, suite.expand_with_label(secret, "nonce", b"", suite.nonce_length)


def epoch_secret(suite: CipherSuite, joiner: bytes, psk_secret: bytes, group_context: bytes) -> bytes:
    """epoch_secret from the joiner secret, the PSK secret and the encoded GroupContext (RFC 9420 §8)."""
    return suite.expand_with_label(
        suite.extract(joiner, psk_secret), "epoch", group_context, suite.hash_length
    )


def export(suite: CipherSuite, exporter_secret: bytes, label: str, context: bytes, length: int) -> bytes:
    """MLS-Exporter (RFC 9420 §8.5): `length` bytes."""
    secret = suite.derive_secret(exporter_secret, label)
    return suite.expand_with_label(secret, "exported", suite.hash(context), length)


def confirmation_tag(suite: CipherSuite, confirmation_key: bytes, confirmed_transcript_hash: bytes) -> bytes:
    """The MAC that proves the same view of an epoch (RFC 9420 §6.1)."""
    return suite.mac(confirmation_key, confirmed_transcript_hash)
