"""rfc9420 (Python) as one of the libraries that are compared; runs in the peers' environment.

What it cannot do with the groups of others is said, operation by operation.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from rfc9420 import DefaultCryptoProvider, ProtocolMLSGroup
from rfc9420.extensions.extensions import build_capabilities_data
from rfc9420.messages.data_structures import Credential, Signature
from rfc9420.messages.key_packages import KeyPackage, LeafNode
from rfc9420.messages.messages import MLSMessage, MLSPlaintext

from bench.mls.lines import least, median_of, serve

CRYPTO = DefaultCryptoProvider()
CIPHERTEXT = 82
"""Bytes of a sealed path secret."""

KEY_PACKAGE_HEADER = bytes.fromhex("00010005")


class Client:
    def __init__(self, name: bytes) -> None:
        signing, encryption, init = (
            Ed25519PrivateKey.generate(),
            X25519PrivateKey.generate(),
            X25519PrivateKey.generate(),
        )
        self.signing = signing.private_bytes_raw()
        self.encryption = encryption.private_bytes_raw()
        self.init = init.private_bytes_raw()
        public = signing.public_key().public_bytes_raw()
        now = int(time.time())
        values: dict[str, Any] = {
            "encryption_key": encryption.public_key().public_bytes_raw(),
            "signature_key": public,
            "credential": Credential(identity=name, public_key=public),
            "capabilities": build_capabilities_data([1], [], include_grease=False),
            "lifetime_not_before": now - 3600,
            "lifetime_not_after": now + 30 * 24 * 3600,
        }
        leaf = LeafNode(**values)
        signature = CRYPTO.sign_with_label(self.signing, b"LeafNodeTBS", leaf.tbs_serialize())
        leaf = LeafNode(**values, signature=Signature(signature))
        init_key = init.public_key().public_bytes_raw()
        unsigned = KeyPackage(init_key=init_key, leaf_node=leaf)
        signature = CRYPTO.sign_with_label(self.signing, b"KeyPackageTBS", unsigned.tbs_serialize())
        self.key_package = KeyPackage(init_key=init_key, leaf_node=leaf, signature=Signature(signature))


_newcomer: list[Client] = []


def key_package(request: dict[str, Any]) -> dict[str, Any]:
    _newcomer[:] = [Client(b"newcomer")]
    return {"key_package": (KEY_PACKAGE_HEADER + _newcomer[0].key_package.serialize()).hex()}


def found(request: dict[str, Any]) -> dict[str, Any]:
    founder, times = Client(b"founder"), request["times"]
    packages = [bytes.fromhex(item) for item in request["key_packages"]]

    def create() -> Any:
        return ProtocolMLSGroup.create(os.urandom(16), founder.key_package, CRYPTO)

    def add_all(group: Any) -> Any:
        return _add(group, packages, founder)

    def with_all() -> Any:
        group = create()
        group.apply_own_commit(add_all(group))
        return group

    def update(group: Any) -> None:
        encoded = _commit(group, founder).commit_message.serialize()
        if len(encoded) < CIPHERTEXT * len(packages):
            raise ValueError("the update path does not reach every member")

    results = Results()
    results.measure("add", lambda: least(times, add_all, create)[1])
    results.measure("update", lambda: least(times, update, with_all)[1])
    return results.answer()


def join(request: dict[str, Any]) -> dict[str, Any]:
    newcomer, times = _newcomer[0], request["times"]
    welcome, commit = bytes.fromhex(request["welcome"]), bytes.fromhex(request["commit"])
    texts = iter([bytes.fromhex(item) for item in request["texts"]])
    results = Results()

    def joined() -> Any:
        return ProtocolMLSGroup.from_welcome(
            MLSMessage.deserialize(welcome).get_parsed_content(),
            newcomer.init,
            CRYPTO,
            key_package=newcomer.key_package,
            encryption_private_key=newcomer.encryption,
        )

    def opened() -> bytes:
        plaintext: bytes = group.unprotect(MLSMessage.deserialize(next(texts)).get_parsed_content())[1]
        return plaintext

    def processed(fresh: Any) -> Any:
        fresh.process_commit(MLSPlaintext(MLSMessage.deserialize(commit).get_parsed_content()), 0)
        return fresh

    group = results.measure("join", lambda: least(times, joined)[::-1])
    if group is None:
        return results.answer()
    results.measure("export", lambda: median_of(lambda: group.export_secret(b"label", b"context", 32), 50))
    results.measure("encrypt", lambda: median_of(lambda: _encrypted(group, newcomer), 20))
    results.measure("decrypt", lambda: median_of(opened, len(request["texts"])))
    if request["warm"]:
        one = bytes.fromhex(request["key_package"])
        results.measure("update", lambda: least(times, lambda fresh: _commit(fresh, newcomer), joined)[1])
        results.measure("add", lambda: least(times, lambda fresh: _add(fresh, [one], newcomer), joined)[1])
    after = results.measure("process", lambda: least(times, processed, joined)[::-1])
    if after is not None:
        results.figures["export_after"] = after.export_secret(b"after", b"", 32).hex()
    return results.answer()


class Results:
    """Figures by operation, and what was said where one failed."""

    def __init__(self) -> None:
        self.figures: dict[str, Any] = {}
        self.failed: dict[str, str] = {}

    def measure(self, operation: str, measured: Callable[[], Any]) -> Any:
        """`measured` gives milliseconds, or these and a result."""
        try:
            figure = measured()
        except Exception as error:
            self.failed[operation] = f"{type(error).__name__}: {error}"[:120]
            return None
        self.figures[operation], result = figure if isinstance(figure, tuple) else (figure, None)
        return result

    def answer(self) -> dict[str, Any]:
        return {**self.figures, "failed": self.failed}


def _add(group: Any, packages: list[bytes], client: Client) -> Any:
    for package in packages:
        group.create_add_proposal(KeyPackage.deserialize(package[len(KEY_PACKAGE_HEADER) :]), client.signing)
    return _commit(group, client)


def _commit(group: Any, client: Client) -> Any:
    return group.create_commit(client.signing)


def _encrypted(group: Any, client: Client) -> bytes:
    encoded: bytes = group.protect(bytes(1024), signing_key=client.signing).serialize()
    return encoded


if __name__ == "__main__":
    serve({"key_package": key_package, "found": found, "join": join})
