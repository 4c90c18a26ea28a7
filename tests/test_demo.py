"""The demo: how it counts, what it says when something fails, that it works, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.fixture(autouse=True)
def _examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


class Clock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    import tally

    fake = Clock()
    monkeypatch.setattr(tally, "time", fake)
    yield fake


def test_everything_delivered(clock: Clock) -> None:
    from tally import Tally

    tally = Tally(["Alice", "Bob", "Carol"])
    tally.will_send("Alice", "m1", "hello")
    for name in ("Alice", "Bob", "Carol"):
        tally.app_started(name)
    # It may be received before the sender has its answer.
    assert tally.received("Bob", 1, "m1", "Alice", "hello")
    tally.sent("m1", 2)
    assert (tally.expected, tally.delivered, tally.lost) == (2, 1, 1)
    assert tally.missing("Carol") == 1 and tally.missing("Alice") == 0
    assert tally.received("Carol", 4, "m1", "Alice", "hello")
    assert (tally.sent_count, tally.lost, tally.duplicates, tally.wrong) == (1, 0, 0, 0)


def test_a_message_that_was_given_again(clock: Clock) -> None:
    from tally import Tally

    tally = Tally(["Alice", "Bob"])
    for message in ("m1", "m2"):
        tally.will_send("Alice", message, message)
        tally.sent(message, 1)
    tally.app_started("Bob")
    tally.received("Bob", 1, "m1", "Alice", "m1")
    clock.now += 10
    tally.received("Bob", 2, "m2", "Alice", "m2")
    tally.app_cut("Bob")
    tally.app_started("Bob")
    # It was cut before it could acknowledge the second; this one it may be given again.
    assert not tally.received("Bob", 2, "m2", "Alice", "m2")
    assert tally.duplicates == 0
    # The first was acknowledged long before.
    assert not tally.received("Bob", 1, "m1", "Alice", "m1")
    assert tally.duplicates == 1
    # The same message as another event, and twice in one run.
    tally.received("Bob", 3, "m2", "Alice", "m2")
    tally.received("Bob", 3, "m2", "Alice", "m2")
    assert tally.duplicates == 3
    assert tally.delivered == 2


@pytest.mark.parametrize(
    ("sender", "message", "body"),
    [("Mallory", "m1", "hello"), ("Alice", "m1", "hullo"), ("Alice", "m9", "hello"), ("Bob", "m1", "hello")],
)
def test_a_message_that_nobody_sent_so(clock: Clock, sender: str, message: str, body: str) -> None:
    from tally import Tally

    tally = Tally(["Alice", "Bob"])
    tally.will_send("Alice", "m1", "hello")
    tally.app_started("Bob")
    assert not tally.received("Bob", 1, message, sender, body)
    assert tally.wrong == 1 and tally.delivered == 0


def test_a_message_for_some_of_them(clock: Clock) -> None:
    from tally import Tally

    tally = Tally(["Alice", "Bob", "Mallory"])
    tally.will_send("Alice", "m1", "hello", ["Bob"])
    tally.sent("m1", 1)
    for name in ("Alice", "Bob", "Mallory"):
        tally.app_started(name)
    assert (tally.missing("Bob"), tally.missing("Mallory"), tally.expected) == (1, 0, 1)
    assert not tally.received("Mallory", 1, "m1", "Alice", "hello")
    assert (tally.overheard, tally.not_for("Mallory"), tally.delivered) == (1, 1, 0)
    assert tally.received("Bob", 1, "m1", "Alice", "hello")
    assert tally.has("Bob", "m1") and not tally.has("Mallory", "m1")
    assert (tally.lost, tally.wrong, tally.not_for("Bob")) == (0, 0, 0)


def test_what_a_node_that_was_put_back_forgot(clock: Clock) -> None:
    from tally import Tally

    tally = Tally(["Alice", "Bob"])
    for message in ("m1", "m2", "m3"):
        tally.will_send("Alice", message, message)
        tally.sent(message, 1)
    tally.app_started("Bob")
    tally.received("Bob", 1, "m1", "Alice", "m1")
    known = tally.copied("Bob")
    tally.received("Bob", 2, "m2", "Alice", "m2")
    tally.put_back("Bob", known)
    tally.app_started("Bob")
    # The second is not owed to it again, and may come once more; the third is still owed.
    assert (tally.lost, tally.missing("Bob")) == (1, 1)
    assert tally.received("Bob", 2, "m2", "Alice", "m2")
    assert tally.received("Bob", 3, "m3", "Alice", "m3")
    assert (tally.lost, tally.missing("Bob"), tally.duplicates) == (0, 0, 0)
    tally.received("Bob", 4, "m2", "Alice", "m2")
    assert tally.duplicates == 1


def test_a_daemon_that_does_not_start_is_named_with_its_log(tmp_path: Path) -> None:
    from node_process import Node, NodeError

    node = Node("Alice", tmp_path, [sys.executable, "-c", "import sys; sys.exit('the cellar is flooded')"])
    node.launch()
    with pytest.raises(NodeError, match="Alice's daemon ended with code 1") as caught:
        node.wait_ready()
    assert caught.value.node is node
    assert node.log_tail() == ["the cellar is flooded"]
    node.stop()


def demo(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(EXAMPLES / "demo.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )


def left_behind(tmp_path: Path) -> list[str]:
    """Processes that were started with a path below this folder, and files in it."""
    found = [str(path) for path in tmp_path.iterdir()]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(tmp_path) in command:
                found.append(command.replace(b"\0", b" ").decode())
    return found


def test_a_short_demo(tmp_path: Path) -> None:
    running = demo(tmp_path, "--each", "4", "--while-away", "6")
    out, err = running.communicate(timeout=400)
    assert running.returncode == 0, err
    outcome = json.loads(out.splitlines()[-1])
    seconds = outcome.pop("seconds")
    assert outcome == {
        "nodes": 3,
        "sent": 32,
        "expected": 63,
        "delivered": 63,
        "lost": 0,
        "duplicates": 0,
        "converged": True,
        "direct": 2,
        "removed_reads": 0,
        "archived": 10,
    }
    assert seconds > 0
    for name in ("Alice", "Bob", "Carol"):
        assert f"\n{name} " in out
    assert left_behind(tmp_path) == []


def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    # A shell lets what it starts in the background ignore the signal, and all that comes of it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        running = demo(tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert running.stdout is not None
    for line in running.stdout:
        if "are in all groups" in line:
            break
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "interrupted" in err and "Traceback" not in err
    assert json.loads(out.splitlines()[-1])["converged"] is False
    assert left_behind(tmp_path) == []
