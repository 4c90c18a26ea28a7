"""Live groups with hostile insiders: each message is accepted or refused, and a refusal changes nothing."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.fuzz.findings import REFUSALS, Finding, bounded
from tests.fuzz.group_member import Member
from tests.fuzz.insider import Insider
from tests.fuzz.live_group import LiveGroup, check_agreement

from starling.protocol.errors import UsageError
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group import Group
from starling.protocol.mls.key_package import KeyPackageBundle
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.private_message import PrivateMessage
from starling.protocol.mls.welcome import Welcome
from starling.protocol.mls.wire_format import ContentType

STEPS = 3
ATTEMPTS = 12
MOST_WAITING = 12

_MISSING = {"leaf_key_missing", "no_old_leaf", "framing"}
"""The codes of `UsageError` that processing what is hostile may give: the caller lacks something of its own."""


def run(rng: random.Random) -> int:
    """The life of one group; how many hostile inputs it saw."""
    live = LiveGroup(rng)
    inputs = 0
    for _ in range(rng.randint(1, STEPS)):
        live.step()
        for _ in range(ATTEMPTS):
            inputs += attempt(live)
    return inputs


def attempt(live: LiveGroup) -> int:
    """One hostile act of a random member in this epoch."""
    rng = live.rng
    insider = Insider(live, rng.choice(live.senders()))
    match rng.randrange(10):
        case 0:
            return _deliver(live, insider, insider.application)
        case 1 | 2:
            return _deliver(live, insider, insider.proposal)
        case 3 | 4:
            return _deliver(live, insider, insider.commit)
        case 5:
            return _deliver(live, insider, insider.outsider)
        case 6:
            return _take_library_commit(live, insider)
        case 7:
            return _external_commit(live, insider)
        case 8:
            return _external_join(live, insider)
        case _:
            return _welcome(live, insider)


def _deliver(live: LiveGroup, insider: Insider, make: Callable[[], bytes]) -> int:
    try:
        data = make()
    except (UsageError, *REFUSALS):
        return 0  # what was made up has no wire form
    victims = live.others(insider.member)
    outcomes = [deliver(victim, data) for victim in victims]
    check_agreement([outcome for outcome in outcomes if isinstance(outcome, Group)])
    proposals = [outcome for outcome in outcomes if isinstance(outcome, AuthenticatedContent)]
    if proposals:
        if len(proposals) != len(victims) or any(content != proposals[0] for content in proposals):
            raise Finding("a proposal is taken by some members only")
        _keep(live, proposals[0])
    following = [
        (victim, group) for victim, group in zip(victims, outcomes, strict=True) if isinstance(group, Group)
    ]
    if following and len(following) == len(victims) and not live.owned:
        _go_on(live, following)
    return len(victims)


def _go_on(live: LiveGroup, following: list[tuple[Member, Group]]) -> None:
    """What everybody took may be what the group goes on from: no hostile commit stops the ones after it."""
    if live.rng.random() < 0.5:
        live.enter(following)


def _keep(live: LiveGroup, content: AuthenticatedContent) -> None:
    """A hostile proposal waits beside the honest ones: commits will refer to it."""
    if len(live.members[0].proposals) < MOST_WAITING:
        for member in live.members:
            member.proposals[content.reference(live.suite)] = content


def deliver(victim: Member, data: bytes) -> AuthenticatedContent | Group | None:
    """Give a member a message, on a copy of its group: the proposal, the epoch that a commit gives, or None."""
    group = victim.clone()
    record = group.save()
    ratchets = group.save_ratchets()
    if record != victim.group.save() or ratchets != victim.group.save_ratchets():
        raise Finding("a group that is loaded and saved is another")
    try:
        with bounded(len(data), "a message"):
            opened = _open(group, data)
    except REFUSALS:
        if group.save() != record or group.save_ratchets() != ratchets:
            raise Finding("a message was refused and has changed the group") from None
        return None
    if opened is None or group.save() != record:
        if group.save() != record:
            raise Finding("a message changed what only a commit changes")
        return None
    if opened.content.content_type == ContentType.PROPOSAL:
        return opened
    ratchets = group.save_ratchets()
    staged = None
    try:
        with bounded(len(data), "a commit"):
            staged = group.stage(opened, **victim.stage_options())
    except UsageError as error:
        if error.code not in _MISSING:
            raise
    except REFUSALS:
        pass  # as it should be
    if group.save() != record or group.save_ratchets() != ratchets:
        raise Finding("staging a commit has changed the epoch that it is staged in")
    if staged is None or staged.next is None:
        return None
    if staged.next.epoch != group.epoch + 1:
        raise Finding("a commit leads to another epoch than the next")
    return staged.next


def _open(group: Group, data: bytes) -> AuthenticatedContent | None:
    message = MLSMessage.decode(data)
    if isinstance(message.body, PrivateMessage) and message.body.content_type == ContentType.APPLICATION:
        group.unprotect(message)
        return None
    return group.open_handshake(message)


def _take_library_commit(live: LiveGroup, insider: Insider) -> int:
    """What the library commits, all others take, or they lack something that the committer has."""
    made = insider.library_commit()
    if made is None:
        return 0
    following = [(insider.member, made.next)]
    for victim in live.others(insider.member):
        group = deliver(victim, made.message)
        if not isinstance(group, Group):
            removed = made.next.tree.leaf(victim.group.own_leaf_index)
            same = victim.group.tree.leaf(victim.group.own_leaf_index) == removed
            if same:
                raise Finding("a commit that the library made is refused")
            continue
        following.append((victim, group))
    entered = [group for _, group in following]
    check_agreement(entered)
    _go_on(live, following)
    if made.welcome is not None:
        welcome = MLSMessage.decode(made.welcome).body
        assert isinstance(welcome, Welcome)
        for entry in welcome.secrets:
            if entry.new_member in live.bundles:
                client, bundle = live.bundles[entry.new_member]
                entered += _join(live, welcome, bundle, client.signature_private_key)
        check_agreement(entered)
    return len(entered)


def _join(
    live: LiveGroup, welcome: Welcome, bundle: KeyPackageBundle, signature_private_key: bytes
) -> list[Group]:
    knows = live.members[0]
    try:
        with bounded(len(welcome.encrypted_group_info), "a Welcome"):
            group, _ = Group.join(
                welcome,
                bundle,
                signature_private_key,
                psks=knows.psk,
                past_epochs=knows.past.find,
                rules=live.rules,
            )
    except REFUSALS:
        return []
    return [group]


def _external_commit(live: LiveGroup, insider: Insider) -> int:
    if live.owned or insider.group.reinit is not None:
        return 0
    newcomer = live.new_client()
    made = Group.external_join(
        insider.group.group_info(external_pub=True),
        newcomer.leaf()[0],
        newcomer.signature_private_key,
        authenticated_data=live.authenticated_data(),
        rules=live.rules,
        random=live.random,
    )

    def make() -> bytes:
        return insider.external_commit(made, newcomer.signature_private_key)

    return _deliver(live, insider, make)


def _external_join(live: LiveGroup, insider: Insider) -> int:
    """A newcomer is given a GroupInfo of the insider's making."""
    newcomer = live.new_client()
    try:
        info = insider.hostile_info(insider.group.group_info(external_pub=True))
        data = info.encode()
    except UsageError:
        return 0
    try:
        with bounded(len(data), "a GroupInfo"):
            Group.external_join(
                type(info).decode(data),
                newcomer.leaf()[0],
                newcomer.signature_private_key,
                resync=live.rng.random() < 0.2,
                rules=live.rules,
                random=live.random,
            )
    except UsageError as error:
        if error.code not in _MISSING:
            raise
    except REFUSALS:
        pass  # as it should be
    return 1


def _welcome(live: LiveGroup, insider: Insider) -> int:
    """A newcomer, or a member in a branch, is given a Welcome of the insider's making."""
    rng = live.rng
    try:
        if rng.random() < 0.3:
            made = live.branch_by(insider.member)
        else:
            made = insider.group.commit(
                [live.add()],
                psks=insider.member.psk,
                path=rng.choice((None, True)),
                authenticated_data=live.authenticated_data(),
                random=live.random,
            )
        if made.welcome is None:
            return 0
        body = MLSMessage.decode(made.welcome).body
        assert isinstance(body, Welcome)
        client, bundle = live.bundles[body.secrets[0].new_member]
        welcome = insider.hostile_welcome(made, bundle)
    except (UsageError, *REFUSALS):
        return 0
    _join(live, welcome, bundle, client.signature_private_key)
    return 1
