"""The symmetric ratchets of one sender (RFC 9420 §9.1, §9.2).

Looking a key up and consuming it are two steps: a key is consumed only when its message's signature has
verified, so that
a forged message burns nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.secret import Secret
from starling.protocol.errors import Invalid, Pending, UsageError
from starling.protocol.mls.rules import Rule
from starling.protocol.wire import Struct, Vector, opaque, uint8, uint32

MAX_SKIPPED = 1000
"""How many generations of one ratchet may be skipped: what is further ahead waits, so no key is ever
dropped."""


class MessageKey(NamedTuple):
    """The AEAD key (Nk bytes) and nonce (Nn bytes, before the reuse guard) of one generation."""

    key: bytes
    nonce: bytes

    def __repr__(self) -> str:
        return "MessageKey()"


@dataclass(frozen=True, slots=True)
class SkippedKey(Struct):
    generation: uint32
    key: opaque = field(repr=False)
    nonce: opaque = field(repr=False)


@dataclass(frozen=True, slots=True)
class RatchetRecord(Struct):
    """A saved ratchet. `retained` is 1 where the secret stays at generation 0."""

    retained: uint8
    secret: opaque = field(repr=False)
    generation: uint32
    skipped: Vector[SkippedKey]


def _message_key(suite: CipherSuite, secret: bytes, generation: int) -> MessageKey:
    return MessageKey(
        suite.derive_tree_secret(secret, "key", generation, suite.key_length),
        suite.derive_tree_secret(secret, "nonce", generation, suite.nonce_length),
    )


def _advance(suite: CipherSuite, secret: bytes, generation: int) -> bytes:
    return suite.derive_tree_secret(secret, "secret", generation, suite.hash_length)


class Ratchet:
    """A ratchet that moves forward: a consumed generation is gone, a skipped one keeps its key and nonce
    only."""

    __slots__ = ("_generation", "_secret", "_skipped", "_suite")

    def __init__(
        self,
        suite: CipherSuite,
        secret: bytes,
        generation: int = 0,
        skipped: dict[int, MessageKey] | None = None,
    ) -> None:
        self._suite = suite
        self._secret = Secret(secret)
        self._generation = generation
        self._skipped = skipped or {}

    @property
    def generation(self) -> int:
        """The next generation that was neither consumed nor skipped."""
        return self._generation

    @property
    def missing(self) -> tuple[int, ...]:
        """The generations that were skipped and not consumed since."""
        return tuple(sorted(self._skipped))

    def peek(self, generation: int) -> MessageKey:
        """The key of a generation, without a change. `Invalid` for a consumed one, `Pending` too far
        ahead."""
        if generation < self._generation:
            key = self._skipped.get(generation)
            if key is None:
                raise Invalid(Rule.GENERATION_CONSUMED, f"generation {generation}")
            return key
        if generation - self._generation + len(self._skipped) > MAX_SKIPPED:
            raise Pending("a message is too many generations ahead")
        secret = bytes(self._secret)
        for step in range(self._generation, generation):
            secret = _advance(self._suite, secret, step)
        return _message_key(self._suite, secret, generation)

    def consume(self, generation: int) -> None:
        """Delete the key of a generation that `peek` gave; those that it jumps over are kept as skipped."""
        if generation < self._generation:
            self._skipped.pop(generation, None)
            return
        if generation + 1 >= 2**32:
            raise UsageError("the ratchet is at its end")
        secret = bytes(self._secret)
        for step in range(self._generation, generation):
            self._skipped[step] = _message_key(self._suite, secret, step)
            secret = _advance(self._suite, secret, step)
        self._secret.wipe()
        self._secret = Secret(_advance(self._suite, secret, generation))
        self._generation = generation + 1

    def wipe(self) -> None:
        """Delete the ratchet and its skipped keys."""
        self._secret.wipe()
        self._skipped.clear()

    def save(self) -> RatchetRecord:
        skipped = tuple(
            SkippedKey(generation, *self._skipped[generation]) for generation in sorted(self._skipped)
        )
        return RatchetRecord(0, bytes(self._secret), self._generation, skipped)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class RetainedRatchet(Ratchet):
    """A ratchet that stays at generation 0 and gives any of its first 1,000 generations again and again
    (K-15, K-23).

    Only for handshakes of a single committer, where siblings of a commit must stay readable; the place of
    a child epoch
    among its siblings, not the ratchet, is what refuses a replay.
    """

    __slots__ = ()

    def peek(self, generation: int) -> MessageKey:
        if generation >= MAX_SKIPPED:
            raise Invalid(Rule.HANDSHAKE_GENERATION, f"generation {generation}")
        secret = bytes(self._secret)
        for step in range(generation):
            secret = _advance(self._suite, secret, step)
        return _message_key(self._suite, secret, generation)

    def consume(self, generation: int) -> None:
        """Nothing: the ratchet is retained."""

    def save(self) -> RatchetRecord:
        return RatchetRecord(1, bytes(self._secret), 0, ())


def load_ratchet(suite: CipherSuite, record: RatchetRecord) -> Ratchet:
    """The ratchet that was saved."""
    if record.retained:
        return RetainedRatchet(suite, record.secret)
    skipped = {entry.generation: MessageKey(entry.key, entry.nonce) for entry in record.skipped}
    return Ratchet(suite, record.secret, record.generation, skipped)
