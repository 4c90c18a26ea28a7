"""`starling listen`: what is printed, where it begins, and what is acknowledged."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.daemon.command_line import starling
from tests.daemon.scripted_socket import Answer, event, result, scripted


def listening(*told: dict[str, Any]) -> Answer:
    def answer(request: dict[str, Any]) -> list[dict[str, Any] | bytes]:
        return [
            result(request, {"subscription": 1}),
            *(told if request["method"] == "events.subscribe" else ()),
        ]

    return answer


def test_listen_prints_and_acknowledges_what_it_printed(tmp_path: Path) -> None:
    told = [event(seq, sender_name="bob", body=f"m{seq}", encoding="utf8") for seq in (5, 6, 7)]
    with scripted(tmp_path / "home", listening(*told)) as served:
        done = starling(tmp_path / "home", "--json", "listen", "--cursor", "app", "--count", "2")
    assert done.returncode == 0
    assert [json.loads(line)["seq"] for line in done.stdout.splitlines()] == [5, 6]
    assert served.calls("events.subscribe") == [{"cursor": "app", "kinds": ["message.received"]}]
    # The third event was sent too, but nobody saw it.
    assert served.calls("events.ack")[-1] == {"cursor": "app", "seq": 6}


def test_listen_without_a_cursor_begins_now_and_acknowledges_nothing(tmp_path: Path) -> None:
    with scripted(
        tmp_path / "home", listening(event(1, sender_name="bob", body="hi", encoding="utf8"))
    ) as served:
        done = starling(tmp_path / "home", "listen", "lab", "--count", "1", "--type", "message.received")
    assert done.stdout.endswith("bob: hi\n")
    assert served.calls("events.subscribe") == [{"universe": "lab", "kinds": ["message.received"]}]
    assert served.calls("events.ack") == []


def test_listen_ends_by_its_timeout(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", listening()):
        assert starling(tmp_path / "home", "listen", "--timeout", "0.05").returncode == 0
        assert starling(tmp_path / "home", "listen", "--timeout", "0.05", "--count", "1").returncode == 5


def test_listen_says_what_was_lost(tmp_path: Path) -> None:
    lost = {"jsonrpc": "2.0", "method": "events.lost", "params": {"subscription": 1, "from": 3, "to": 9}}
    with scripted(tmp_path / "home", listening(lost, event(10, sender_name="b", body="x", encoding="utf8"))):
        done = starling(tmp_path / "home", "listen", "--cursor", "app", "--count", "1")
    assert "3 to 9" in done.stderr
    assert done.stdout.endswith("b: x\n")


def test_what_others_write_cannot_steer_the_terminal(tmp_path: Path) -> None:
    told = event(1, sender_name="e\x1b[31mve", body="\x1b]0;gone\x07", encoding="utf8")
    with scripted(tmp_path / "home", listening(told)):
        done = starling(tmp_path / "home", "listen", "--count", "1")
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert "\\x1b[31m" in done.stdout


def test_other_events_are_one_line_of_names_and_values(tmp_path: Path) -> None:
    told = event(1, "epoch.started", owner="ab", path=True, removed=["cd", "e\x1bf"])
    with scripted(tmp_path / "home", listening(told)):
        done = starling(tmp_path / "home", "listen", "--type", "all", "--count", "1")
    assert done.stdout.endswith(" epoch.started owner=ab path=True removed=cd,e\\x1bf\n")


def test_the_moments_of_an_event_are_told_as_such(tmp_path: Path) -> None:
    told = event(1, "member.healed", identity="ab", before=1_795_262_400_000, groups=9)
    with scripted(tmp_path / "home", listening(told)):
        done = starling(tmp_path / "home", "listen", "--type", "all", "--count", "1")
    assert re.search(r" member.healed identity=ab before=2026-11-2\dT\d\d:\d\d:\d\d groups=9\n$", done.stdout)


def test_a_message_cannot_pass_for_another_line(tmp_path: Path) -> None:
    forged = event(1, sender_name="e\nve", body="fine\n2026-11-21 09:40:00 bob: agreed", encoding="utf8")
    with scripted(tmp_path / "home", listening(forged)):
        done = starling(tmp_path / "home", "listen", "--count", "1")
    first, second = done.stdout.splitlines()
    assert first.endswith("e ve: fine")
    assert second == "    2026-11-21 09:40:00 bob: agreed"


def test_listen_says_where_a_new_cursor_begins(tmp_path: Path) -> None:
    shown = " ".join(starling(tmp_path, "listen", "--help").stdout.split())
    assert "a new name begins at the oldest kept event, or where --from says (without a cursor: now)" in shown


def test_listen_goes_on_where_the_daemon_gave_up_on_it(tmp_path: Path) -> None:
    told = [event(1, sender_name="b", body="x", encoding="utf8")]
    told += [{"jsonrpc": "2.0", "method": "events.lagged", "params": {"subscription": 1, "seq": 1}}]
    later = event(2, sender_name="b", body="y", encoding="utf8")
    later["params"]["subscription"] = 2

    def answer(request: dict[str, Any]) -> list[dict[str, Any] | bytes]:
        again = request["method"] == "events.subscribe" and request["params"].get("from") == 1
        first = request["method"] == "events.subscribe" and not again
        return [
            result(request, {"subscription": 2 if again else 1}),
            *(told if first else []),
            *([later] if again else []),
        ]

    with scripted(tmp_path / "home", answer) as served:
        done = starling(tmp_path / "home", "--json", "listen", "--cursor", "app", "--count", "2", timeout=10)
    assert [json.loads(line)["seq"] for line in done.stdout.splitlines()] == [1, 2]
    assert served.calls("events.ack")[-1]["seq"] == 2
