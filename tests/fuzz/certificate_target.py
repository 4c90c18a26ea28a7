"""X.509 credentials: certificates changed in their structure, and signed anew by a hostile authority."""

from __future__ import annotations

import functools
import random
import warnings

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from tests.fuzz import der
from tests.fuzz.findings import Finding, bounded, refused
from tests.fuzz.values import change_bytes
from tests.mls.certificates import NOW, Issued, issue

from starling.protocol.mls.credential import Certificate, Credential
from starling.protocol.mls.x509 import check_certificate_chain, check_x509_credential

MUTANTS = 12


@functools.cache
def _chain() -> tuple[Issued, Issued, tuple[Issued, ...]]:
    """A root, an authority below it, and end entities with keys of every kind."""
    seed = bytes(range(57))
    root_key = ed25519.Ed25519PrivateKey.from_private_bytes(seed[:32])
    root = issue("root", root_key, authority=True)
    authority_key = ed25519.Ed25519PrivateKey.from_private_bytes(seed[1:33])
    authority = issue("authority", authority_key, root, authority=True, path_length=1)
    keys = (
        ed25519.Ed25519PrivateKey.from_private_bytes(seed[2:34]),
        ed448.Ed448PrivateKey.from_private_bytes(seed),
        ec.derive_private_key(7, ec.SECP256R1()),
        ec.derive_private_key(7, ec.SECP521R1()),
    )
    return root, authority, tuple(issue("end", key, authority) for key in keys)


def run(rng: random.Random) -> int:
    """One chain and its mutants; how many inputs that was."""
    root, authority, ends = _chain()
    chain = [rng.choice(ends).der, authority.der, root.der][: rng.choice((1, 2, 2, 3))]
    check(chain)
    for _ in range(MUTANTS):
        mutants = list(chain)
        at = rng.randrange(len(mutants))
        by = authority if at == 0 else root
        mutants[at] = _mutant(rng, mutants[at], by)
        if rng.random() < 0.1:
            mutants = rng.choice((mutants[::-1], mutants * rng.choice((2, 20)), [*mutants, mutants[at]]))
        check(mutants)
    return MUTANTS + 1


def _mutant(rng: random.Random, data: bytes, by: Issued) -> bytes:
    if rng.random() < 0.2:
        return change_bytes(rng, data)
    tree = der.parse(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        der.change(rng, tree)
    parts = tree.parts
    if parts and len(parts) == 3 and rng.random() < 0.7:
        assert isinstance(by.private_key, ed25519.Ed25519PrivateKey)
        parts[2] = der.Node(0x03, b"\x00" + by.private_key.sign(parts[0].encode()))
    return tree.encode()


def check(chain: list[bytes]) -> None:
    """Raises `Finding`."""
    root = _chain()[0]
    credential = Credential(2, certificates=tuple(map(Certificate, chain)))
    data = credential.encode()
    # Programs make errors of warnings, or do not: both have to be borne.
    for action in ("error", "ignore"):
        try:
            with warnings.catch_warnings(), bounded(len(data), "a chain"):
                warnings.simplefilter(action)
                refused(lambda: check_x509_credential(credential, bytes(32)))
                refused(lambda: check_certificate_chain(credential, [root.der], NOW))
        except Finding as finding:
            raise Finding(finding.what, structure="chain", data=data) from finding
        except BaseException as error:  # a panic below is no Exception
            if isinstance(error, KeyboardInterrupt):
                raise
            raise Finding(f"{type(error).__name__}: {error}", structure="chain", data=data) from error
