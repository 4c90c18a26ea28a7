"""The Authentication Service is asked wherever RFC 9420 §5.3.1 says, for both types of credentials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.mls.certificates import NOW, issue, new_key
from tests.mls.group_members import Client

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.errors import Invalid
from starling.protocol.mls.capabilities import Capabilities
from starling.protocol.mls.credential import BASIC, X509, Credential
from starling.protocol.mls.extension import EXTERNAL_SENDERS, Extension
from starling.protocol.mls.external_sender import ExternalSender, ExternalSenders
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_package import KeyPackageBundle
from starling.protocol.mls.leaf_node import KEY_PACKAGE, LeafNode
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import Add, GroupContextExtensions, Update
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.x509 import check_certificate_chain

ROOT = issue("root", new_key(), authority=True)
SUITE = cipher_suite(1)


class AuthenticationService(GroupRules):
    """Writes down what it is asked, and refuses the names that it is told to."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.refused: bytes | None = None

    def validate_credential(
        self, credential: Credential, signature_key: bytes, group_context: GroupContext
    ) -> None:
        if credential.credential_type == X509:
            check_certificate_chain(credential, [ROOT.der], NOW)
        name = credential.identity or b"x509"
        self.asked.append(name)
        if name == self.refused:
            raise Invalid(Rule.CREDENTIAL)

    def same_member(self, old: LeafNode, new: LeafNode) -> bool:
        return True


class Certified(Client):
    """A client with the credential that it is told to have, of types 1 and 2."""

    credential: Credential

    def leaf(self, source: int = KEY_PACKAGE) -> tuple[LeafNode, bytes]:
        leaf, private_key = super().leaf(source)
        capabilities = Capabilities((1,), (self.suite.id,), (), (), (BASIC, X509))
        return replace(leaf, credential=self.credential, capabilities=capabilities), private_key


def basic(name: str) -> Certified:
    client = Certified(name)
    client.credential = Credential.basic(name.encode())
    return client


def certified(name: str) -> Certified:
    client = Certified(name)
    key = new_key()
    client.signature_private_key = key.private_bytes_raw()
    client.signature_key = SUITE.signature_public_key(client.signature_private_key)
    client.credential = Credential.x509([issue(name, key, ROOT).der])
    return client


def senders(*clients: Certified) -> Extension:
    listed = tuple(ExternalSender(client.signature_key, client.credential) for client in clients)
    return Extension(EXTERNAL_SENDERS, ExternalSenders(listed).encode())


def check(service: AuthenticationService, name: bytes, attempt: Callable[[], object]) -> None:
    """The attempt asks about the name, and fails just where the service refuses it."""
    service.asked.clear()
    attempt()
    assert name in service.asked
    service.refused = name
    with pytest.raises(Invalid) as caught:
        attempt()
    assert caught.value.rule is Rule.CREDENTIAL
    service.refused = None


@pytest.mark.parametrize("make", [basic, certified])
def test_every_event_that_brings_a_credential(make: Callable[[str], Certified]) -> None:
    alice, bob, carol = make("alice"), make("bob"), make("carol")
    services = [AuthenticationService() for _ in range(3)]

    def name(client: Certified) -> bytes:
        return client.credential.identity or b"x509" if make is basic else b"x509"

    bundle: KeyPackageBundle = bob.bundle()
    # Creating, and adding.
    check(services[0], name(alice), lambda: alice.create(services[0]))
    group = alice.create(services[0])
    add = [Add(bundle.key_package)]
    check(services[0], name(bob), lambda: group.commit(add, random=alice.random))
    made = group.commit(add, random=alice.random)
    assert made.welcome is not None
    welcome = made.welcome
    # Joining: every leaf, one's own too.
    check(services[1], name(alice), lambda: bob.join(welcome, bundle, services[1]))
    alices, bobs = made.next, bob.join(welcome, bundle, services[1])
    # An Add that another member commits.
    third = carol.bundle()
    added = alices.commit([Add(third.key_package)], random=alice.random).content
    check(services[1], name(carol), lambda: bobs.stage(added))
    # An Update, to the committer and to others.
    alice.credential = make("another alice").credential if make is basic else alice.credential
    update, _ = alice.update_leaf(alices)
    _, proposal = alices.propose(Update(update), random=alice.random)
    check(services[1], name(alice), lambda: bobs.commit(by_reference=[proposal], random=bob.random))

    # A path.
    def change(leaf: LeafNode) -> LeafNode:
        return replace(leaf, credential=alice.credential)

    check(services[0], name(alice), lambda: alices.commit(leaf_node=change, random=alice.random))
    renamed = alices.commit(leaf_node=change, random=alice.random).content
    check(services[1], name(alice), lambda: bobs.stage(renamed))
    # An external commit: for the joiner all leaves, for the members the new one.
    info = alices.group_info(external_pub=True)
    leaf, _ = carol.leaf()

    def enter() -> bytes:
        return Group.external_join(
            info, leaf, carol.signature_private_key, rules=services[2], random=carol.random
        ).message

    check(services[2], name(bob), enter)
    entering = bobs.open_handshake(MLSMessage.decode(enter()))
    check(services[1], name(carol), lambda: bobs.stage(entering))


@pytest.mark.parametrize("make", [basic, certified])
def test_external_senders_are_validated_when_they_come(make: Callable[[str], Certified]) -> None:
    alice, bob = basic("alice"), basic("bob")
    services = [AuthenticationService() for _ in range(2)]
    delivery = make("delivery")
    name = delivery.credential.identity or b"x509"
    check(services[0], name, lambda: alice.create(services[0], (senders(delivery),)))
    group = alice.create(services[0])
    bundle = bob.bundle()
    made = group.commit([Add(bundle.key_package)], random=alice.random)
    assert made.welcome is not None
    alices, bobs = made.next, bob.join(made.welcome, bundle, services[1])
    proposals = [GroupContextExtensions((senders(delivery),))]
    check(services[0], name, lambda: alices.commit(proposals, random=alice.random))
    commit = alices.commit(proposals, random=alice.random)
    check(services[1], name, lambda: bobs.stage(commit.content))
    # Who stays is not asked about again.
    following = bobs.stage(commit.content).next
    assert following is not None
    services[0].asked.clear()
    commit.next.commit(random=alice.random)
    commit.next.commit([GroupContextExtensions((senders(delivery),))], random=alice.random)
    assert name not in services[0].asked
    # Who joins is.
    carol = basic("carol")
    third = carol.bundle()
    added = commit.next.commit([Add(third.key_package)], random=alice.random)
    assert added.welcome is not None
    welcome = added.welcome
    service = AuthenticationService()
    check(service, name, lambda: carol.join(welcome, third, service))


def test_a_certificate_for_another_key_is_refused_everywhere() -> None:
    alice, thief = certified("alice"), basic("thief")
    thief.credential = alice.credential
    group = alice.create()
    stolen = thief.bundle().key_package
    for attempt in (
        lambda: thief.create(),
        lambda: group.commit([Add(stolen)], random=alice.random),
        lambda: alice.create(extensions=(senders(thief),)),
    ):
        with pytest.raises(Invalid) as caught:
            attempt()
        assert caught.value.rule is Rule.X509_KEY


def test_x509_and_basic_members_share_a_group() -> None:
    alice, bob = certified("alice"), basic("bob")
    bundle = bob.bundle()
    made = alice.create().commit([Add(bundle.key_package)], random=alice.random)
    assert made.welcome is not None
    joined = bob.join(made.welcome, bundle)
    message = joined.protect(b"hello", random=bob.random)
    assert made.next.unprotect(MLSMessage.decode(message)).application_data == b"hello"
    assert [leaf.credential.credential_type for _, leaf in joined.tree.leaves()] == [X509, BASIC]


def test_every_member_supports_every_type_of_credential_in_use() -> None:
    alice, bob = certified("alice"), Client("bob")
    group = alice.create()
    with pytest.raises(Invalid) as caught:
        group.commit([Add(bob.bundle().key_package)], random=alice.random)
    assert caught.value.rule is Rule.LEAF_NODE_CREDENTIAL
