"""`starling send`: to all or to one, from arguments, standard input or a file."""

from __future__ import annotations

from pathlib import Path

from tests.daemon.command_line import MESSAGE, always, failed, starling
from tests.daemon.scripted_socket import event, refusal, scripted
from tests.daemon.test_cli_listen import listening


def test_send_text(tmp_path: Path) -> None:
    with scripted(
        tmp_path / "home", always({"state": "sent", "recipients": 2, "epoch": 3, "id": "ab" * 16})
    ) as served:
        done = starling(tmp_path / "home", "send", "lab", "héllo", "--id", "AB" * 16)
    assert done.returncode == 0
    assert done.stdout == f"sent {'ab' * 16} to 2 in epoch 3\n"
    (params,) = served.calls("message.send")
    assert params == {
        "universe": "lab",
        "id": "ab" * 16,
        "type": "text",
        "wait": True,
        "body": "héllo",
        "encoding": "utf8",
    }


def test_send_takes_its_options_anywhere(tmp_path: Path) -> None:
    with scripted(
        tmp_path / "home", always({"state": "sent", "recipients": 2, "epoch": 3, "id": "ab" * 16})
    ) as served:
        done = starling(tmp_path / "home", "send", "lab", "--id", "ab" * 16, "once", "more")
        wrong = starling(tmp_path / "home", "members", "lab", "once")
    assert done.returncode == 0
    assert served.calls("message.send")[0]["body"] == "once more"
    assert wrong.returncode == 2
    assert "unrecognized arguments: once" in wrong.stderr


def test_send_to_one_member(tmp_path: Path) -> None:
    told = {"state": "sent", "recipients": 1, "epoch": 3, "id": "ab" * 16}
    with scripted(tmp_path / "home", always(told)) as served:
        done = starling(tmp_path / "home", "send", "lab", "--to", "Ben", "once", "more")
    assert done.stdout == f"sent {'ab' * 16} to Ben alone in epoch 3\n"
    (params,) = served.calls("message.send")
    assert (params["to"], params["body"]) == ("Ben", "once more")
    with scripted(tmp_path / "gone", always({"state": "undelivered", "id": "ab" * 16})):
        done = starling(tmp_path / "gone", "send", "lab", "--to", "Ben", "too late")
    assert (done.returncode, done.stdout) == (
        4,
        f"not sent {'ab' * 16}: Ben was removed or blocked before it could be\n",
    )
    with scripted(
        tmp_path / "nobody",
        lambda request: [refusal(request, "member.unknown", "there is nobody called 'Dan'")],
    ):
        failed(starling(tmp_path / "nobody", "send", "lab", "--to", "Dan", "hi"), 4, "nobody called 'Dan'")


def test_direct_messages_are_marked(tmp_path: Path) -> None:
    to_us = event(1, sender_name="ben", body="psst", encoding="utf8", to="ab" * 32, to_name="ann")
    with scripted(tmp_path / "listen", listening(to_us)):
        done = starling(tmp_path / "listen", "listen", "--count", "1")
    assert done.stdout.endswith(" ben (to you): psst\n")
    own = {**MESSAGE, "own": True, "to": "cd" * 32, "to_name": "b\nen"}
    shown = [
        {**MESSAGE, "own": False, "to": "ab" * 32, "to_name": "ann"},
        {**own, "state": "sent"},
        {**own, "state": "queued"},
        {**own, "state": "undelivered", "reason": "removed"},
        {**MESSAGE, "own": True, "to": None, "state": "sent"},
    ]
    with scripted(tmp_path / "history", always({"messages": shown, "more": False})):
        done = starling(tmp_path / "history", "history", "lab")
    ends = [line.split(" bob", 1)[1] for line in done.stdout.splitlines()]
    assert ends == [
        " (to you): x",
        " (to b en): x",
        " (to b en): x (queued)",
        " (to b en): x (not sent)",
        ": x",
    ]


def test_send_standard_input_and_bytes_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff\x00")
    with scripted(tmp_path / "home", always({"state": "queued", "id": "ab" * 16})) as served:
        assert starling(tmp_path / "home", "send", "lab", "-", stdin=b"two\nlines").returncode == 0
        assert starling(tmp_path / "home", "send", "lab", "--file", str(tmp_path / "file")).returncode == 0
    first, second = served.calls("message.send")
    assert (first["body"], first["encoding"]) == ("two\nlines", "utf8")
    assert (second["body"], second["encoding"]) == ("/wA=", "base64")
    assert (first["type"], second["type"]) == ("text", "binary")


def test_a_warning_of_the_daemon_goes_to_standard_error(tmp_path: Path) -> None:
    told = {"state": "sent", "recipients": 2, "epoch": 3, "id": "ab" * 16, "warning": "put back"}
    with scripted(tmp_path / "home", always(told)):
        done = starling(tmp_path / "home", "send", "lab", "hello")
    assert (done.returncode, done.stderr) == (0, "starling: put back\n")
    with scripted(tmp_path / "other", always({"name": "ann", "rollback_suspected": ["cd" * 32]})):
        done = starling(tmp_path / "other", "status")
    assert done.returncode == 0
    assert "cd" * 6 in done.stderr
    assert "old state" in done.stderr


def test_send_of_what_cannot_be_sent(tmp_path: Path) -> None:
    with scripted(tmp_path / "home", always({})) as served:
        assert "--file" in starling(tmp_path / "home", "send", "lab").stderr
        failed(starling(tmp_path / "home", "send", "lab", "--file", str(tmp_path / "none")), 1, "cannot read")
        failed(starling(tmp_path / "home", "send", "lab", "-", stdin=bytes(512 * 1024 + 1)), 2, "524288")
        failed(starling(tmp_path / "home", "send", "lab", "-", stdin=b""), 2, "empty")
    assert served.requests == []
