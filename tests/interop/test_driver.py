"""The driver: a conversation of two processes with every command, and whatever else comes on its input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.interop.driver import Driver
from tests.interop.peer import Peer, Refused, starling_peer

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES

GROUP = b"hikers".hex()
COMMANDS = {
    "add_psk", "branch", "commit", "create_group", "decrypt", "discard", "encrypt", "epoch_authenticator", "export",
    "external_join",    "group_info", "hello", "info", "join", "key_package", "merge", "process", "propose", "quit",
    "ratchet_tree",
}  # fmt: skip


@pytest.fixture
def alice() -> Iterator[Peer]:
    with starling_peer("alice") as peer:
        yield peer


@pytest.fixture
def bob() -> Iterator[Peer]:
    with starling_peer("bob") as peer:
        yield peer


class InProcess(Peer):
    """A driver without a process, for what needs none."""

    def __init__(self) -> None:
        self.driver = Driver()

    def raw(self, line: str) -> Any:
        return json.loads(self.driver.handle(line))


def agree(*peers: Peer, group: str = GROUP) -> int:
    """All are in one epoch, whose number this is."""
    answers = [peer.call("epoch_authenticator", group=group) for peer in peers]
    secrets = [peer.call("export", group=group, label="test", context="00ff", length=40) for peer in peers]
    seen = {
        (answer["epoch"], answer["epoch_authenticator"], answer["tree_hash"], secret["secret"])
        for answer, secret in zip(answers, secrets, strict=True)
    }
    assert len(seen) == 1
    return int(answers[0]["epoch"])


def meet(alice: Peer, bob: Peer, suite: int = 1, **options: Any) -> None:
    """Alice's group of two."""
    package = bob.call("key_package", identity="bob", suite=suite)["key_package"]
    alice.call("create_group", group_id=GROUP, identity="alice", suite=suite)
    added = alice.call("commit", group=GROUP, proposals=[{"type": "add", "key_package": package}], **options)
    beside = {}
    if not options.get("ratchet_tree_extension", True):
        with pytest.raises(Refused) as refused:
            bob.call("join", welcome=added["welcome"])
        assert refused.value.rule == "GROUP_INFO_TREE"
        beside = {"ratchet_tree": alice.call("ratchet_tree", group=GROUP)["ratchet_tree"]}
    joined = bob.call("join", welcome=added["welcome"], **beside)
    assert joined["group"] == GROUP
    assert agree(alice, bob) == 1


def test_hello_names_suites_and_commands(alice: Peer) -> None:
    hello = alice.call("hello")
    assert hello["suites"] == sorted(CIPHER_SUITES)
    assert set(hello["commands"]) == COMMANDS
    assert alice.quit() == 0


def test_two_processes_talk(alice: Peer, bob: Peer) -> None:
    meet(alice, bob)
    sent = alice.call("encrypt", group=GROUP, plaintext=b"at nine?".hex(), aad="aa")
    opened = bob.call("decrypt", group=GROUP, message=sent["message"])
    assert opened["plaintext"] == b"at nine?".hex()
    assert (opened["aad"], opened["sender"], opened["epoch"]) == ("aa", 0, 1)
    again = bob.call("encrypt", group=GROUP, plaintext="")
    assert alice.call("process", group=GROUP, message=again["message"])["plaintext"] == ""
    assert (alice.quit(), bob.quit()) == (0, 0)


@pytest.mark.parametrize("suite", sorted(CIPHER_SUITES))
def test_every_suite(suite: int) -> None:
    alice, bob, carol = InProcess(), InProcess(), InProcess()
    meet(alice, bob, suite)
    info = alice.call("group_info", group=GROUP)["group_info"]
    deliver(carol.call("external_join", group_info=info, identity="carol"), alice, bob)
    assert agree(alice, bob, carol) == 2


@pytest.fixture
def pair() -> tuple[Peer, Peer]:
    """Alice and Bob in epoch 1 of a group."""
    alice, bob = InProcess(), InProcess()
    meet(alice, bob)
    return alice, bob


def deliver(made: dict[str, Any], *others: Peer) -> None:
    for other in others:
        assert other.call("process", group=GROUP, message=made["commit"])["kind"] == "commit"


def refused(peer: Peer, command: str, **arguments: Any) -> str | None:
    """The rule with which a call is refused."""
    with pytest.raises(Refused) as error:
        peer.call(command, **arguments)
    return error.value.rule


def test_the_tree_beside_the_welcome() -> None:
    meet(InProcess(), InProcess(), ratchet_tree_extension=False)


@pytest.mark.parametrize("public", [True, False])
def test_updates_by_path_and_by_reference(pair: tuple[Peer, Peer], public: bool) -> None:
    alice, bob = pair
    deliver(alice.call("commit", group=GROUP, public=public, aad="01"), bob)
    proposed = bob.call("propose", group=GROUP, type="update", public=public)
    assert alice.call("process", group=GROUP, message=proposed["message"])["kind"] == "proposal"
    made = alice.call("commit", group=GROUP, public=public)
    done = bob.call("process", group=GROUP, message=made["commit"])
    assert done["updated"] == [1]
    assert made["welcome"] is None
    # Our own Update stays out of our own commit.
    bob.call("propose", group=GROUP, type="update", public=public)
    deliver(bob.call("commit", group=GROUP, public=public), alice)
    assert agree(alice, bob) == 4


def test_psks_in_commits_and_in_the_welcome(pair: tuple[Peer, Peer]) -> None:
    alice, bob = pair
    carol = InProcess()
    for peer in (alice, carol):
        peer.call("add_psk", psk_id="01", psk="aa" * 32)
    made = alice.call("commit", group=GROUP, proposals=[{"type": "psk", "psk_id": "01"}])
    with pytest.raises(Refused, match="Pending"):
        bob.call("process", group=GROUP, message=made["commit"])
    bob.call("add_psk", psk_id="01", psk="aa" * 32)
    deliver(made, bob)
    message = bob.call("propose", group=GROUP, type="psk", psk_id="01")["message"]
    alice.call("process", group=GROUP, message=message)
    resumption = {"type": "resumption_psk", "psk_epoch": 1}
    deliver(alice.call("commit", group=GROUP, proposals=[resumption, {"type": "resumption_psk"}]), bob)
    package = carol.call("key_package", identity="carol")["key_package"]
    made = alice.call(
        "commit",
        group=GROUP,
        proposals=[{"type": "add", "key_package": package}, {"type": "psk", "psk_id": "01"}],
    )
    deliver(made, bob)
    carol.call("join", welcome=made["welcome"])
    assert agree(alice, bob, carol) == 4


def test_a_removed_member_is_told(pair: tuple[Peer, Peer]) -> None:
    alice, bob = pair
    made = alice.call("commit", group=GROUP, proposals=[{"type": "remove", "leaf_index": 1}])
    assert bob.call("process", group=GROUP, message=made["commit"])["self_removed"]
    assert bob.call("info", group=GROUP)["removed"]
    assert refused(bob, "commit", group=GROUP) is None
    assert refused(bob, "encrypt", group=GROUP, plaintext="00") is None
    package = bob.call("key_package", identity="bob")["key_package"]
    made = alice.call("commit", group=GROUP, proposals=[{"type": "add", "key_package": package}])
    bob.call("join", welcome=made["welcome"])
    assert agree(alice, bob) == 3


def test_group_context_extensions(pair: tuple[Peer, Peer]) -> None:
    alice, bob = pair
    extensions = [{"type": 1, "data": "c0ffee"}]
    proposal = {"type": "group_context_extensions", "extensions": extensions}
    deliver(alice.call("commit", group=GROUP, proposals=[proposal]), bob)
    assert agree(alice, bob) == 2
    assert bob.call("info", group=GROUP)["group_extensions"] == extensions
    as_pairs: dict[str, Any] = {"type": "group_context_extensions", "group_extensions": [[1, "c1"]]}
    deliver(alice.call("commit", group=GROUP, proposals=[as_pairs]), bob)
    assert bob.call("info", group=GROUP)["group_extensions"] == [{"type": 1, "data": "c1"}]
    proposal = {"type": "group_context_extensions", "extensions": [{"type": 0xF123, "data": ""}]}
    assert refused(alice, "commit", group=GROUP, proposals=[proposal]) == "PROPOSAL_CONTEXT_SUPPORT"


def test_external_commits(pair: tuple[Peer, Peer]) -> None:
    alice, bob = pair
    carol = InProcess()
    info = bob.call("group_info", group=GROUP)["group_info"]
    joined = carol.call("external_join", group_info=info, identity="carol", aad="01")
    done = alice.call("process", group=GROUP, message=joined["commit"])
    assert (done["external"], done["committer"], done["added"]) == (True, 2, [])
    bob.call("process", group=GROUP, message=joined["commit"])
    assert agree(alice, bob, carol) == 2
    # Bob comes back: with his signature key, and from a process that does not have it.
    for back in (bob, InProcess()):
        info = alice.call("group_info", group=GROUP)["group_info"]
        made = back.call("external_join", group_info=info, identity="bob", resync=True)
        for peer in (alice, carol):
            assert peer.call("process", group=GROUP, message=made["commit"])["removed"] == [1]
        agree(alice, carol, back)
    assert refused(alice, "external_join", group_info=info, identity="alice") is None
    assert refused(InProcess(), "external_join", group_info=info, identity="dave", suite=2) is None


def test_a_branch_and_a_reinitialized_group(pair: tuple[Peer, Peer]) -> None:
    alice, bob = pair
    package = bob.call("key_package", identity="bob")["key_package"]
    made = alice.call("branch", group=GROUP, key_packages=[package], group_id="b1")
    assert bob.call("join", welcome=made["welcome"])["group"] == made["group"] == "b1"
    assert agree(alice, bob, group="b1") == 1
    package = InProcess().call("key_package", identity="carol")["key_package"]
    wrong = {"group": GROUP, "key_packages": [package], "group_id": "b2"}
    assert refused(alice, "branch", **wrong) == "BRANCH_MEMBERS"

    proposal = {"type": "reinit", "group_id": "c1", "suite": 2}
    ended = alice.call("commit", group=GROUP, proposals=[proposal])
    assert bob.call("process", group=GROUP, message=ended["commit"])["reinit"]
    assert refused(bob, "commit", group=GROUP) is None
    package = alice.call("key_package", identity="alice", suite=2)["key_package"]
    made = bob.call("branch", group=GROUP, key_packages=[package], new_group="new")
    assert (made["group"], made["group_id"]) == ("new", "c1")
    alice.call("join", welcome=made["welcome"], group="new")
    assert agree(alice, bob, group="new") == 1
    assert alice.call("info", group="new")["suite"] == 2


def test_a_member_leaves_by_itself() -> None:
    alice, bob = InProcess(), InProcess()
    package = bob.call("key_package", identity="bob", cap_proposals=[10])["key_package"]
    alice.call("create_group", group_id=GROUP, identity="alice", cap_proposals=[10])
    bob.call(
        "join",
        welcome=alice.call("commit", group=GROUP, proposals=[{"type": "add", "key_package": package}])[
            "welcome"
        ],
    )
    message = bob.call("propose", group=GROUP, type="self_remove", public=True)["message"]
    alice.call("process", group=GROUP, message=message)
    made = alice.call("commit", group=GROUP)
    assert bob.call("process", group=GROUP, message=made["commit"])["self_removed"]


def test_a_commit_is_merged_or_discarded(pair: tuple[Peer, Peer]) -> None:
    alice, bob = pair
    first = alice.call("commit", group=GROUP, merge=False)
    assert first["epoch"] == 1
    alice.call("discard", group=GROUP)
    # The proposals that wait stay, until there is nothing else to discard.
    alice.call("propose", group=GROUP, type="remove", leaf_index=1)
    alice.call("commit", group=GROUP, merge=False)
    for _ in range(2):
        alice.call("discard", group=GROUP)
    second = alice.call("commit", group=GROUP, merge=False)
    assert alice.call("merge", group=GROUP)["epoch"] == 2
    deliver(second, bob)
    agree(alice, bob)
    # A commit of the other one that comes first takes the place of ours.
    alice.call("commit", group=GROUP, merge=False)
    deliver(bob.call("commit", group=GROUP), alice)
    assert alice.call("merge", group=GROUP)["epoch"] == 3
    assert agree(alice, bob) == 3


def test_messages_of_past_epochs_open_late(pair: tuple[Peer, Peer]) -> None:
    alice, bob = pair
    sent = [alice.call("encrypt", group=GROUP, plaintext=f"{number:02x}")["message"] for number in range(3)]
    for _ in range(5):
        deliver(alice.call("commit", group=GROUP), bob)
    for number in (2, 0):
        opened = bob.call("decrypt", group=GROUP, message=sent[number])
        assert (opened["plaintext"], opened["message_epoch"]) == (f"{number:02x}", 1)
    assert refused(bob, "decrypt", group=GROUP, message=sent[0]) == "GENERATION_CONSUMED"
    deliver(alice.call("commit", group=GROUP), bob)
    assert refused(bob, "decrypt", group=GROUP, message=sent[1]) == "WRONG_EPOCH"


def test_one_process_holds_several_members_of_a_group() -> None:
    peer = InProcess()
    packages = [
        peer.call("key_package", identity_hex="ff00", cap_extensions=[0xF123], cap_proposals=[0xF456]),
        peer.call("key_package", identity="carol", cap_suites=[1, 2], cap_credentials=[1, 3]),
    ]
    peer.call("create_group", group="a", group_id=GROUP, identity="alice")
    adds = [{"type": "add", "key_package": package["key_package"]} for package in packages]
    welcome = peer.call("commit", group="a", proposals=adds)["welcome"]
    for name, package in zip("bc", packages, strict=True):
        peer.call("join", group=name, welcome=welcome, ref=package["ref"])
    members = peer.call("info", group="c")["members"]
    assert [member["identity_hex"] for member in members] == [b"alice".hex(), "ff00", b"carol".hex()]
    assert len({peer.call("epoch_authenticator", group=name)["epoch_authenticator"] for name in "abc"}) == 1


@pytest.mark.parametrize(
    ("lifetime", "rule"),
    [
        (-1, "LEAF_NODE_LIFETIME"),
        (-(2**62), "LEAF_NODE_LIFETIME"),
        (400 * 86400, "LEAF_NODE_LIFETIME_RANGE"),
    ],
)
def test_key_packages_out_of_time_are_not_added(lifetime: int, rule: str) -> None:
    peer = InProcess()
    peer.call("create_group", group_id=GROUP, identity="alice")
    package = peer.call("key_package", identity="bob", lifetime=lifetime)["key_package"]
    assert refused(peer, "commit", group=GROUP, proposals=[{"type": "add", "key_package": package}]) == rule


NO_REQUESTS = [
    "{",
    "null",
    "[]",
    "[" * 100_000,
    '{"cmd": null}',
    '{"cmd": "_run"}',
    '{"cmd": "no such"}',
    '{"cmd": ["hello"]}',
    '{"cmd": "\\ud800"}',
]

BAD_REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("create_group", {}),
    ("create_group", {"identity": 5}),
    ("create_group", {"identity": "\ud800"}),
    ("create_group", {"identity": "x", "suite": 99}),
    ("create_group", {"identity": "x", "suite": 1e99}),
    ("create_group", {"identity": "x", "suite": True}),
    ("create_group", {"identity": "x", "group_id": GROUP}),
    ("create_group", {"identity": "x", "group_id": "0"}),
    ("create_group", {"identity": "x", "group_extensions": [1]}),
    ("create_group", {"identity": "x", "group_extensions": [{"type": 2**16}]}),
    ("create_group", {"identity": "x", "cap_suites": [2]}),
    ("key_package", {"identity": "x", "lifetime": 10**400}),
    ("key_package", {"identity": "x", "lifetime": 2**63}),
    ("key_package", {"identity": "x", "cap_proposals": "12"}),
    ("join", {"welcome": "zz"}),
    ("join", {"welcome": ""}),
    ("join", {"welcome": "0001000300010000"}),
    ("info", {"group": "none"}),
    ("info", {"group": {}}),
    ("commit", {"group": GROUP, "proposals": {}}),
    ("commit", {"group": GROUP, "proposals": [{"type": "x"}]}),
    ("commit", {"group": GROUP, "proposals": [{"type": "remove", "leaf_index": 2**32 - 1}]}),
    ("commit", {"group": GROUP, "proposals": [{"type": "update"}]}),
    ("commit", {"group": GROUP, "merge": "yes"}),
    ("propose", {"group": GROUP}),
    ("process", {"group": GROUP, "message": "00010002"}),
    ("decrypt", {"group": GROUP, "message": "0002"}),
    ("export", {"group": GROUP, "label": "x", "length": 2**16}),
    ("add_psk", {"psk_id": 5, "psk": ""}),
]


def test_whatever_comes_is_answered(alice: Peer) -> None:
    alice.call("create_group", group_id=GROUP, identity="alice")
    for line in [*NO_REQUESTS, *(json.dumps({"cmd": name, **rest}) for name, rest in BAD_REQUESTS)]:
        answer = alice.raw(line)
        assert answer["ok"] is False, line
        assert "fault of this program" not in answer["error"], line
        assert set(answer) == {"ok", "error", "rule"}
    message = alice.call("encrypt", group=GROUP, plaintext="00")["message"]
    for command in ("process", "decrypt"):
        assert refused(alice, command, group=GROUP, message=message) == "OWN_MESSAGE"
        for end in range(0, len(message), 2):
            refused(alice, command, group=GROUP, message=message[:end])
    assert alice.call("info", group=GROUP)["epoch"] == 0
    assert alice.quit() == 0
