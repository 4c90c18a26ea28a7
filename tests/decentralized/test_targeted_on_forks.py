"""Targeted messages in a group that forks: the name of the epoch, or else the sender data, tells the fork (T-9)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tests.extensions.targeted_group import RULES, context_extensions, founded
from tests.mls.group_members import Randomness, refused

from starling.protocol.decentralized.dmls_message import SHARED_GROUP_FORMATS, read_dmls_message, wrap
from starling.protocol.decentralized.fork_results import (
    ForkCommit,
    ForkTargetedMessage,
    Ignored,
    IgnoredReason,
    ReleasedCommit,
    UnknownEpoch,
)
from starling.protocol.decentralized.forked_group import ForkedGroup
from starling.protocol.decentralized.key_schedule import PUNCTURED
from starling.protocol.errors import Unsupported, UsageError, VerificationFailed
from starling.protocol.extensions.rules import Rule as ExtensionRule
from starling.protocol.extensions.targeted_messages import holds_targeted_secrets
from starling.protocol.extensions.targeted_protection import TargetedProfile
from starling.protocol.mls import Extension, MLSMessage, Rule
from starling.protocol.mls.extension import KOH_KEY_SCHEDULE
from starling.protocol.mls.targeted_message import TargetedMessage

NOW = 1_000_000
TEXT = b"for you alone"
KNOWN = Ignored(IgnoredReason.KNOWN)


@dataclass
class _Member:
    name: bytes
    forked: ForkedGroup
    random: Randomness

    def restart(self) -> None:
        self.forked = ForkedGroup.load(self.forked.save(), rules=RULES)

    def commit(self) -> ReleasedCommit:
        self.forked.commit(path=True, random=self.random)
        return self.forked.release(NOW)

    def send(self, other: _Member) -> bytes:
        return self.forked.protect_targeted(other.name, TEXT, random=self.random)

    def get(self, message: bytes) -> object:
        received = self.forked.receive(message, now=NOW)
        self.restart()
        return received


def _three() -> list[_Member]:
    extensions = (*context_extensions(TargetedProfile.DRAFT_01), Extension(KOH_KEY_SCHEDULE, b""))
    clients, groups = founded(3, key_schedule=PUNCTURED, extensions=extensions)
    return [
        _Member(
            client.signature_key,
            ForkedGroup(group, client.signature_private_key, now=NOW),
            Randomness(client.signature_key),
        )
        for client, group in zip(clients, groups, strict=True)
    ]


def _bare(message: bytes) -> MLSMessage:
    return read_dmls_message(message, SHARED_GROUP_FORMATS).message


def test_it_is_read_once_with_the_name_of_its_epoch() -> None:
    a, b, c = _three()
    message = a.send(b)
    sent = _bare(message).body
    assert isinstance(sent, TargetedMessage)
    expected = ForkTargetedMessage(a.forked.head, a.name, TEXT, sent.authenticated_data)
    assert b.get(message) == expected
    assert b.get(message) == KNOWN
    assert refused(lambda: c.get(message)) is ExtensionRule.TARGETED_RECIPIENT


def test_who_is_no_member_gets_none() -> None:
    a, _, _ = _three()
    for name in (b"nobody", a.name):
        with pytest.raises(UsageError) as unusable:
            a.forked.protect_targeted(name, TEXT, random=a.random)
        assert unusable.value.code == "recipient"


def test_on_both_sides_of_a_fork_each_is_read_in_its_epoch() -> None:
    """Two epochs of one number; the superseded parent is read late too."""
    a, b, c = _three()
    late = a.send(c)
    commits = (a.commit(), b.commit())
    first, second = a.send(c), b.send(c)
    with pytest.raises(UnknownEpoch):
        c.get(first)
    for made in commits:
        assert isinstance(c.get(made.message), ForkCommit)
    for message, sender, name in (
        (first, a, commits[0].dmls_epoch),
        (second, b, commits[1].dmls_epoch),
    ):
        received = c.get(message)
        assert isinstance(received, ForkTargetedMessage)
        assert (received.sender, received.dmls_epoch, received.application_data) == (sender.name, name, TEXT)
    received = c.get(late)
    assert isinstance(received, ForkTargetedMessage) and received.sender == a.name


def test_a_wrong_name_does_not_open_it() -> None:
    a, b, c = _three()
    commits = (a.commit(), b.commit())
    for made in commits:
        c.get(made.message)
    message = _bare(a.send(c)).encode()
    with pytest.raises(VerificationFailed):
        c.get(wrap(message, commits[1].dmls_epoch))
    assert isinstance(c.get(wrap(message, commits[0].dmls_epoch)), ForkTargetedMessage)


def test_without_a_name_the_sender_data_tell_the_fork() -> None:
    a, b, c = _three()
    commits = (a.commit(), b.commit())
    messages = (_bare(a.send(c)).encode(), _bare(b.send(c)).encode())
    for message in messages:
        assert refused(c.forked.receive_targeted, message, now=NOW) is Rule.WRONG_EPOCH
    c.get(commits[0].message)
    with pytest.raises(VerificationFailed):
        c.forked.receive_targeted(messages[1], now=NOW)
    c.get(commits[1].message)
    for message, sender, made in zip(messages, (a, b), commits, strict=True):
        received = c.forked.receive_targeted(message, now=NOW)
        c.restart()
        assert isinstance(received, ForkTargetedMessage)
        assert (received.sender, received.dmls_epoch) == (sender.name, made.dmls_epoch)
        assert c.forked.receive_targeted(message, now=NOW) == KNOWN
        assert c.get(wrap(message, made.dmls_epoch)) == KNOWN
    application = a.forked.group.protect(TEXT, random=a.random)
    assert refused(lambda: c.forked.receive_targeted(application, now=NOW)) is Rule.CONTENT_TYPE


def test_in_a_send_group_nothing_but_private_messages_is_wrapped() -> None:
    a, b, _ = _three()
    with pytest.raises(Unsupported):
        read_dmls_message(a.send(b))


def test_a_dropped_epoch_takes_its_secrets_along() -> None:
    a, b, c = _three()
    late = a.send(c)
    parent = c.forked.group
    secrets = [parent.secrets.get(name) for name in ("targeted_message_psk", "targeted_sender_auth_data")]
    made = a.commit()
    for each in (b, c):
        each.get(made.message)
    assert all(any(secret in epoch for epoch in c.forked.save().epochs.values()) for secret in secrets)
    held = [c.forked.epoch_group(name) for name in c.forked.epochs]
    c.forked.wipe()
    assert len(held) == 2 and not any(map(holds_targeted_secrets, held))
    assert c.forked.receive(late, now=NOW) == Ignored(IgnoredReason.DELETED)
