"""Who the driver speaks for, and its rules."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace

from tests.interop.arguments import Arguments

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES, CipherSuite, cipher_suite
from starling.protocol.errors import UsageError
from starling.protocol.mls import (
    Add,
    Capabilities,
    Client,
    Credential,
    GroupContext,
    GroupRules,
    Lifetime,
    Proposal,
    RatchetTree,
)
from starling.protocol.mls.capabilities import MLS10
from starling.protocol.mls.credential import BASIC, X509

CLOCK_SKEW = 3600
"""How long before now a lifetime begins, in seconds."""

DEFAULT_LIFETIME = 90 * 86400
"""Seconds."""

_UNLIMITED = 2**63 - 1
_LONGEST = 2**62


class DriverRules(GroupRules):
    """Plain RFC 9420, with the lifetimes of added key packages checked by the clock.

    The limit of a lifetime is the application's (§7.2): this one also takes leaves without any limit, which
    some libraries write by default.
    """

    def check_proposals(
        self,
        group_context: GroupContext,
        tree: RatchetTree,
        committer_leaf_index: int | None,
        proposals: Sequence[Proposal],
        has_path: bool,
    ) -> None:
        for proposal in proposals:
            if isinstance(proposal, Add):
                leaf = proposal.key_package.leaf_node
                if leaf.lifetime is None or leaf.lifetime.not_after < _UNLIMITED:
                    leaf.check_lifetime(now())


RULES = DriverRules()


def now() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def read_client(
    arguments: Arguments, suite: CipherSuite | None = None, signature_private_key: bytes | None = None
) -> Client:
    """The client that a request describes, by default with a signature key of its own. `UsageError` where it
    asks for another suite than this."""
    default = suite.id if suite is not None else 1
    wanted = cipher_suite(arguments.integer("suite", default, most=2**16 - 1))
    if suite is not None and wanted is not suite:
        raise UsageError("the group has another cipher suite", "bad_argument")
    identity = (
        arguments.binary("identity_hex")
        if arguments.has("identity_hex")
        else arguments.text("identity").encode()
    )
    capabilities = Capabilities(
        (MLS10,),
        arguments.code_points("cap_suites", tuple(CIPHER_SUITES)),
        arguments.code_points("cap_extensions", ()),
        arguments.code_points("cap_proposals", ()),
        arguments.code_points("cap_credentials", (BASIC, X509)),
    )
    client = Client(wanted, Credential.basic(identity), capabilities, b"", b"")
    return with_signature_key(client, wanted, signature_private_key)


def with_signature_key(
    client: Client, suite: CipherSuite, signature_private_key: bytes | None = None
) -> Client:
    """The client in a suite, with this signature key or a new one."""
    if signature_private_key is None:
        signature_private_key, _ = suite.signature_generate(os.urandom)
    return replace(
        client,
        cipher_suite=suite,
        signature_key=suite.signature_public_key(signature_private_key),
        signature_private_key=signature_private_key,
    )


def lifetime_of(seconds: int = DEFAULT_LIFETIME) -> Lifetime:
    """From an hour ago until so many seconds from now; a negative number has ended already."""
    if not -_LONGEST <= seconds <= _LONGEST:
        raise UsageError("the argument lifetime is out of range", "bad_argument")
    seconds_now = now() // 1000
    end = max(0, seconds_now + seconds)
    return Lifetime(min(end, seconds_now - CLOCK_SKEW), end)
