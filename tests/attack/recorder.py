"""Every secret that is made while a universe runs, and the search for them in files and in memory (invariant I6).

What is recorded is kept masked, so that the record itself is not among what is found.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tests.attack.loot import reachable

from starling.daemon.key_slots import KeySlots
from starling.daemon.sealing import Sealer
from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.hpke import Hpke
from starling.protocol.crypto.secret import Secret
from starling.protocol.decentralized.key_schedule import DMLS_EPOCH, PuncturedKeySchedule
from starling.protocol.mls.key_schedule import EpochSecrets

SHORTEST = 16
"""Shorter strings, such as nonces, are no secrets by themselves."""

TRANSITION = b"transition"
"""Of what was derived on the way into an epoch: joiner secrets, path secrets, PSK chains."""

PRIVATE_KEY = b"private key"
SIGNATURE_KEY = b"signature key"
SLOT_KEY = b"slot key"

TICKET = b"ticket"
"""What a ticket's secret gives: all members know it by the roster."""

TEXT = b"text"

_PREFIX = 8
_MASK = bytes(value ^ 0xA5 for value in range(256))

Masked = bytes


def masked(value: bytes) -> Masked:
    return bytes(value).translate(_MASK)


class Recorder:
    """`origin` maps each secret, masked, to where it came from: the `dmls_epoch` of its epoch, or one of the words
    above. `wrapped` are all slots that were ever written to a key file."""

    def __init__(self) -> None:
        self.origin: dict[Masked, bytes] = {}
        self.wrapped: set[bytes] = set()
        self._public: set[Masked] = {masked(bytes(length)) for length in (16, 32, 48, 64)}

    def add(self, value: bytes, origin: bytes) -> None:
        """Note a secret; what it was first noted as stays."""
        if len(value) >= SHORTEST and masked(value) not in self._public:
            self.origin.setdefault(masked(value), origin)

    def of(self, *origins: bytes) -> set[Masked]:
        """The secrets that came from there."""
        wanted = set(origins)
        return {secret for secret, origin in self.origin.items() if origin in wanted}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record all that the process makes while inside."""
        with pytest.MonkeyPatch.context() as patches:
            self._watch_derivations(patches)
            self._watch_epochs(patches)
            self._watch_keys(patches)
            yield

    def _watch_derivations(self, patches: pytest.MonkeyPatch) -> None:
        extract: Any = CipherSuite.extract
        expand: Any = CipherSuite.expand
        expander: Any = CipherSuite.expander

        def watched_extract(suite: CipherSuite, salt: bytes, ikm: bytes) -> bytes:
            output = extract(suite, salt, ikm)
            for value in (salt, ikm, output):
                self.add(value, TRANSITION)
            return bytes(output)

        def derived(secret: bytes, output: bytes, unknown: bytes) -> bytes:
            self.add(secret, unknown)
            self.add(output, self.origin.get(masked(secret), unknown))
            return output

        def watched_expand(suite: CipherSuite, secret: bytes, info: bytes, length: int) -> bytes:
            output = expand(suite, secret, info, length)
            return derived(secret, output, TICKET if b"Starling" in info else TRANSITION)

        def watched_expander(suite: CipherSuite, label: str, context: bytes) -> Callable[[bytes], bytes]:
            one = expander(suite, label, context)
            return lambda secret: derived(secret, one(secret), TRANSITION)

        patches.setattr(CipherSuite, "extract", watched_extract)
        patches.setattr(CipherSuite, "expand", watched_expand)
        patches.setattr(CipherSuite, "expander", watched_expander)

    def _watch_epochs(self, patches: pytest.MonkeyPatch) -> None:
        """From its epoch_secret on, all that is derived belongs to the epoch, the name of which is public."""
        enter: Any = PuncturedKeySchedule.enter

        def watched_enter(
            schedule: PuncturedKeySchedule, suite: CipherSuite, epoch_secret: bytes
        ) -> EpochSecrets:
            name = suite.derive_secret(epoch_secret, "epoch")
            self._public.add(masked(name))
            self.origin.pop(masked(name), None)
            self.origin[masked(epoch_secret)] = name
            secrets: EpochSecrets = enter(schedule, suite, epoch_secret)
            assert secrets.extra[DMLS_EPOCH] == name
            return secrets

        patches.setattr(PuncturedKeySchedule, "enter", watched_enter)

    def _watch_keys(self, patches: pytest.MonkeyPatch) -> None:
        make_secret: Any = Secret.__init__
        derive_pair: Any = Hpke.derive_key_pair
        derive_secret_pair: Any = Hpke.derive_secret_pair
        generate: Any = CipherSuite.signature_generate
        make_sealer: Any = Sealer.__init__
        put: Any = KeySlots._put

        def watched_secret(secret: Secret, value: bytes, parsed: Any = None) -> None:
            self.add(value, PRIVATE_KEY)
            make_secret(secret, value, parsed)

        def watched_derive_pair(hpke: Hpke, ikm: bytes) -> tuple[bytes, bytes]:
            private_key, public_key = derive_pair(hpke, ikm)
            self.add(ikm, TRANSITION)
            self.add(private_key, PRIVATE_KEY)
            return private_key, public_key

        def watched_derive_secret_pair(hpke: Hpke, ikm: bytes) -> tuple[Secret, bytes]:
            private_key, public_key = derive_secret_pair(hpke, ikm)
            self.add(ikm, TRANSITION)
            self.add(bytes(private_key), PRIVATE_KEY)
            return private_key, public_key

        def watched_generate(suite: CipherSuite, random: Callable[[int], bytes]) -> tuple[bytes, bytes]:
            private_key, public_key = generate(suite, random)
            self.add(private_key, SIGNATURE_KEY)
            return private_key, public_key

        def watched_sealer(sealer: Sealer, key: bytes, nonces: Any) -> None:
            self.add(key, SLOT_KEY)
            make_sealer(sealer, key, nonces)

        def watched_put(slots: KeySlots, number: int, slot: bytes) -> None:
            if slot.strip(b"\x00"):
                self.wrapped.add(slot)
            put(slots, number, slot)

        patches.setattr(Secret, "__init__", watched_secret)
        patches.setattr(Hpke, "derive_key_pair", watched_derive_pair)
        patches.setattr(Hpke, "derive_secret_pair", watched_derive_secret_pair)
        patches.setattr(CipherSuite, "signature_generate", watched_generate)
        patches.setattr(Sealer, "__init__", watched_sealer)
        patches.setattr(KeySlots, "_put", watched_put)


def find(secrets: Iterable[Masked], places: Iterable[bytes]) -> set[Masked]:
    """Which of the secrets occur anywhere in these bytes."""
    by_prefix: dict[Masked, list[Masked]] = defaultdict(list)
    for secret in secrets:
        by_prefix[secret[:_PREFIX]].append(secret)
    found: set[Masked] = set()
    for place in places:
        data = masked(place)
        for at in range(len(data) - _PREFIX + 1):
            for secret in by_prefix.get(data[at : at + _PREFIX], ()):
                if data.startswith(secret, at):
                    found.add(secret)
    return found


class Memory:
    """The strings that came into the process since this was made."""

    def __init__(self) -> None:
        # Held, so that no other object can get the place of one of them.
        self._before = list(_live_strings())
        self._known = {id(value) for value in self._before}

    def strings(self) -> Iterator[bytes]:
        """All live strings of bytes, and the private keys that key objects hide."""
        gc.collect()
        for value in _live_strings():
            if id(value) in self._known:
                continue
            hidden = isinstance(value, X25519PrivateKey | Ed25519PrivateKey)
            yield value.private_bytes_raw() if hidden else bytes(value)


def _live_strings() -> Iterator[Any]:
    kinds = (bytes, bytearray, X25519PrivateKey, Ed25519PrivateKey)
    return (found for found in reachable(*gc.get_objects()) if isinstance(found, kinds))
