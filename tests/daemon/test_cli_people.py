"""`starling name` and `starling verify`: what people read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.daemon.command_line import always, failed, starling
from tests.daemon.scripted_socket import event, refusal, result, scripted

BOB = {"identity": "ab" * 32, "name": "Bob", "petname": None, "display_name": "Bob", "verified_at": None}
NAMED = BOB | {"petname": "Rob\x1b[2J", "display_name": "Rob\x1b[2J"}


def test_a_name_of_ones_own(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always(NAMED)) as served:
        done = starling(tmp_path / "home", "name", "lab", "Bob", "Rob")
    assert done.stdout == "Rob\\x1b[2J (claims to be Bob, abababababababab) now\n"
    assert served.calls("member.name") == [{"universe": "lab", "member": "Bob", "petname": "Rob"}]


def test_back_to_the_claimed_name(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always(BOB)) as served:
        done = starling(tmp_path / "home", "name", "lab", "Rob", "--clear")
    assert done.stdout == "no name of your own for Bob (abababababababab) any more\n"
    assert served.calls("member.name") == [{"universe": "lab", "member": "Rob", "petname": None}]


@pytest.mark.parametrize("arguments", [(), ("Rob", "--clear")])
def test_a_name_or_none_but_not_both(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert starling(tmp_path, "name", "lab", "Bob", *arguments).returncode == 2


@pytest.mark.parametrize(
    ("option", "marked"),
    [((), {}), (("--confirm",), {"verified": True}), (("--clear",), {"verified": False})],
)
def test_verify(tmp_path: Path, option: tuple[str, ...], marked: dict[str, bool]) -> None:
    at = 1_795_262_400_000 if marked.get("verified") else None
    with scripted(
        tmp_path / "home", always(BOB | {"verification": "123456789012", "verified_at": at})
    ) as served:
        done = starling(tmp_path / "home", "verify", "lab", "Bob", *option)
    assert served.calls("member.verify") == [{"universe": "lab", "member": "Bob", **marked}]
    first, second, *_ = done.stdout.splitlines()
    assert first == "Bob (abababababababab): 1234 5678 9012"
    assert second.startswith("verified on 2026-11-2" if at else "not verified")
    assert ("--confirm" in done.stdout) == (at is None)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_verified_is_taken_back_or_confirmed(tmp_path: Path) -> None:
    assert starling(tmp_path, "verify", "lab", "Bob", "--confirm", "--clear").returncode == 2


def test_who_is_not_clear_is_said(tmp_path: Path) -> None:
    several = "2 people could be meant by 'Bob': Bob (abab), Bob (cdcd)"
    with scripted(tmp_path / "home", lambda request: [refusal(request, "member.ambiguous", several)]):
        for command in (("name", "lab", "Bob", "Rob"), ("verify", "lab", "Bob"), ("remove", "lab", "Bob")):
            failed(starling(tmp_path / "home", *command), 4, several)


def test_members_shows_claims_and_who_is_verified(tmp_path: Path) -> None:
    place = {"in_groups": 1, "groups": 2}
    shown = [NAMED | place | {"verified_at": 1_000}, BOB | place]
    with scripted(tmp_path / "home", always({"members": shown, "former_members": []})):
        lines = starling(tmp_path / "home", "members", "lab").stdout.splitlines()
    assert lines[0].split()[:4] == ["name", "claims", "verified", "identity"]
    assert lines[1].split()[:4] == ["Rob\\x1b[2J", "Bob", "yes", "abababababababab"]
    assert lines[2].split()[:4] == ["Bob", "-", "no", "abababababababab"]


def test_a_message_is_shown_under_the_name_that_counts(tmp_path: Path) -> None:
    told = event(1, sender="ab" * 32, sender_name="Bob", display_name="Rob", body="hi", encoding="utf8")

    def answer(request: dict[str, Any]) -> list[Any]:
        if request["method"] == "message.history":
            message = told["params"]["event"]["body"] | {"number": 1, "time": 1_000}
            return [result(request, {"messages": [message], "more": False})]
        return [result(request, {"subscription": 1, "from": 0, "last": 1}), told]

    with scripted(tmp_path / "home", answer):
        assert starling(tmp_path / "home", "listen", "--count", "1").stdout.endswith(" Rob: hi\n")
        assert starling(tmp_path / "home", "history", "lab").stdout.endswith(" Rob: hi\n")


KEYS = {"sender": "ab" * 32, "sender_name": "Bob", "display_name": "Bob", "reason": "keys", "others": []}
NAME = KEYS | {
    "reason": "name",
    "display_name": "B0b (abababab)",
    "verified_at": None,
    "others": [{"identity": "cd" * 32, "name": "Bob", "display_name": "Bob", "verified_at": 1_000}],
}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            NAME,
            "*** B0b (abababab) [abababababababab] is somebody else than Bob [cdcdcdcdcdcdcdcd], whom you verified",
        ),
        (KEYS | {"verified_at": None}, "*** Bob has new keys, for having started anew or come back\n"),
        (KEYS | {"verified_at": 1_000}, "come back; it is the person that you verified\n"),
    ],
)
def test_keys_that_may_not_be_expected_are_told_among_the_messages(
    tmp_path: Path, told: dict[str, Any], words: str
) -> None:
    about = {
        ("identity" if key == "sender" else "name" if key == "sender_name" else key): told[key]
        for key in told
    }
    notice = event(1, "member.key_changed", **about)
    message = event(2, sender="ab" * 32, sender_name="Bob", body="hi", encoding="utf8")

    def answer(request: dict[str, Any]) -> list[Any]:
        if request["method"] == "message.history":
            row = told | {
                "notice": "member.key_changed",
                "number": 1,
                "time": 1_000,
                "body": "",
                "encoding": "utf8",
            }
            return [result(request, {"messages": [row], "more": False})]
        return [result(request, {"subscription": 1, "from": 0, "last": 1}), notice, message]

    with scripted(tmp_path / "home", answer) as served:
        shown = starling(tmp_path / "home", "listen", "--count", "1").stdout
        assert words in shown and shown.endswith("Bob: hi\n"), "a notice does not count"
        starling(tmp_path / "home", "listen", "--count", "1", "--json")
        assert words in starling(tmp_path / "home", "history", "lab").stdout
    kinds = [call["kinds"] for call in served.calls("events.subscribe")]
    assert kinds == [["message.received", "member.key_changed"], ["message.received"]]


def test_a_new_name_of_ones_own(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({"name": "Robert"})) as served:
        assert starling(tmp_path / "home", "profile").stdout == "name  Robert\n"
        done = starling(tmp_path / "home", "profile", "--name", "Robert")
    assert done.stdout == "you are Robert now; all members are told\n"
    assert served.calls("profile.set") == [{"name": "Robert"}]
