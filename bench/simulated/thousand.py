"""A universe of a thousand: three real engines among scripted owners. `python -m bench --only thousand`.

Measured are talk without an update, and the wave of commits that one update makes (`bench/simulated/talking.py`).
The real engines are linked with each other alone, and hear of every frame once.
"""

from __future__ import annotations

import random
import time
from dataclasses import replace
from functools import partial
from typing import Any

from tests.sim.event_queue import EventQueue

from bench.options import Options
from bench.simulated.founding import founded
from bench.simulated.member import Member
from bench.simulated.network import Network
from bench.simulated.scripted import Exported, ScriptedOwner, shared_tree
from bench.simulated.talking import INTERVAL, SIZE, per_message
from bench.simulated.traffic import COMMIT, KINDS, MESSAGE, REPORT, Traffic
from starling.protocol.distributed import policy
from starling.protocol.distributed.application import HEADS, MESSAGE_ID_SIZE, ApplicationData
from starling.protocol.distributed.heads import HeadsMessage, HeadsReport, name_of
from starling.protocol.engine import own_group, reporting
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import enter_epoch
from starling.protocol.engine.inputs import FrameReceived, SendMessage

REAL = 3
WARM_UP, TALK = 1, 2
"""Messages of everybody before, and in, the time that is counted."""


def run(options: Options) -> dict[str, Any]:
    size = options.scripted_size
    options.say(f"thousand: N = {size}, {REAL} of them real")
    began = time.process_time()
    universe = _Universe(size)
    options.say("thousand: everybody is in everybody's group")
    universe.talk(WARM_UP)
    universe.count_anew()
    started = time.process_time()
    universe.talk(TALK)
    options.say("thousand: talked")
    talked = universe.count_anew()
    seconds = time.process_time() - started
    universe.update()
    universe.talk(1)
    wave = universe.count_anew()
    messages = TALK * size
    limit = policy.update_message_limit(size)
    return {
        "size": size,
        "messages": messages,
        "commits": dict(wave.made),
        "of_messages": limit,
        **per_message(talked, wave, REAL, messages, limit),
        "engine_ms_per_message": round(1000 * seconds / REAL / messages, 2),
        "refused": [dict(member.universe.refused) for member in universe.members],
        "processor_s": round(time.process_time() - began),
    }


class _Universe:
    """The first `REAL` seats have engines, the others a script."""

    def __init__(self, size: int) -> None:
        self.queue = EventQueue()
        self.network = Network(self.queue, "thousand")
        self._rng = random.Random("thousand")
        self._texts = 0
        self._waves: list[Exported] = []
        self._imported: dict[int, int] = {}
        self._told: dict[int, HeadsReport] = {}
        made = founded(size, "thousand", self.queue.now, keeps=REAL)
        tree = shared_tree(made)
        newcomers = {number + 1: made.seats[number].key_package for number in range(REAL)}
        self.members = [Member.seated(made, seat, self.network, "thousand") for seat in made.seats[:REAL]]
        self.owners: dict[int, ScriptedOwner] = {}
        self._forwarder = made.seats[REAL].identity.peer_id
        for number in range(size):
            others = {leaf: package for leaf, package in newcomers.items() if leaf != number + 1}
            owner = ScriptedOwner(made, number, tree, others, self._rng.randbytes)
            if number < REAL:
                _take_over(self.members[number], owner, self.queue.now)
            else:
                self.owners[number] = owner
            # Nobody keeps these: all who are to enter do so now.
            for other, member in enumerate(self.members):
                if other != number:
                    member.handle(FrameReceived(self._forwarder, owner.welcome))
            owner.welcome = b""
        for member in self.members:
            self.network.add(member)
            for state in member.universe.groups.values():
                state.updated = True
            member.start()
        self.network.connect()
        self._report_at = {number: self._rng.randrange(policy.REPORT_UNDER_LOAD) for number in self.owners}
        for number, at in self._report_at.items():
            self.queue.after(policy.MINUTE + at, partial(self._report, number))
        # The first report of each is whole.
        self.queue.run_until(self.queue.now + policy.MINUTE + policy.REPORT_UNDER_LOAD + policy.SECOND)

    def count_anew(self) -> Traffic:
        counted, self.network.traffic = self.network.traffic, Traffic()
        return counted

    def talk(self, rounds: int) -> None:
        """Everybody says so many things, and imports before it what is new."""
        size = REAL + len(self.owners)
        for _ in range(rounds):
            start = self.queue.now
            for at, number in sorted((self._rng.randrange(INTERVAL), number) for number in range(size)):
                self.queue.run_until(start + at)
                self._say(number)
            self.queue.run_until(start + INTERVAL)

    def update(self) -> None:
        """One scripted owner renews its keys."""
        number = next(iter(self.owners))
        frame, exported = self.owners[number].update(self.queue.now)
        self._waves.append(exported)
        self._imported[number] = 1
        self.network.traffic.made["commits"] += 1
        self._hand_over(COMMIT, frame)

    def _say(self, number: int) -> None:
        self._texts += 1
        message_id = self._texts.to_bytes(MESSAGE_ID_SIZE)
        if number < REAL:
            member = self.members[number]
            member.handle(SendMessage(member.universe_id, message_id, bytes(SIZE)))
            return
        owner = self.owners[number]
        fresh = self._waves[self._imported.get(number, 0) :]
        if fresh:
            self._imported[number] = len(self._waves)
            self.network.traffic.made["commits"] += 1
            self._hand_over(COMMIT, owner.take_in(fresh))
        self._hand_over(MESSAGE, owner.say(ApplicationData("text", message_id, (), bytes(SIZE))))

    def _report(self, number: int) -> None:
        """What a real engine would report: a scripted owner has all that it has."""
        report = reporting.own_report(self.members[0].universe)
        body = HeadsMessage.telling(report, self._told.get(number)).encode()
        self._told[number] = replace(report, name=name_of(body))
        data = ApplicationData(HEADS, self._rng.randbytes(MESSAGE_ID_SIZE), (), body)
        self._hand_over(REPORT, self.owners[number].say(data))
        self.queue.after(policy.REPORT_UNDER_LOAD, partial(self._report, number))

    def _hand_over(self, kind: str, *frames: bytes) -> None:
        for frame in frames:
            for member in self.members:
                self.network.traffic.arrived(kind, len(frame))
                member.handle(FrameReceived(self._forwarder, frame))


def _take_over(member: Member, owner: ScriptedOwner, now: int) -> None:
    """A real engine begins with a send group that has everybody in it, instead of adding a thousand members: that
    commit would be larger than a frame may be."""
    universe = member.universe
    state = own_group.new_group_state(universe, universe.group_id, universe.me)
    universe.groups[universe.group_id] = state
    enter_epoch(Context(now, random.randbytes), universe, state, owner.group, None, has_path=True)


def rows(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    size = result["size"]
    each = result["bytes_per_message"]
    split = ", ".join(f"{kind} {each[kind]:.0f}" for kind in KINDS if each[kind])
    return [
        (f"commits per user message, N = {size}, scripted", f"{result['commits_per_message']:.3f}", ""),
        (f"at a real engine per user message, N = {size}", f"{sum(each.values()):.0f} B", split),
        (
            f"time of a real engine per user message, N = {size}",
            f"{result['engine_ms_per_message']:.2f} ms",
            "",
        ),
    ]
