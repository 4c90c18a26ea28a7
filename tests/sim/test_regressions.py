"""Histories in which something was once wrong, as they were found."""

from __future__ import annotations

import pytest
from tests.sim.history import Action, History, play

from starling.protocol.engine.engine import Engine

KEY_PACKAGE_IN_THE_ADDING_COMMIT = (
    "A member forgot a KeyPackage because somebody had reached the commit that published the next one: the very "
    "commit that added it, which it could not open."
)

CLOSED_GROUP_OF_A_FORMER_MEMBER = (
    "A member imported from somebody who was removed soon after joining. The founder had forgotten the KeyPackage by "
    "which that one had added it, so it could never follow: now it is added again."
)

SPINNING_BEFORE_THE_BOOT_COMMIT = (
    "A node that was put back knew what to close, and still waited for the roster: until its time was up it wanted to "
    "be woken at once, again and again."
)

FOUND = {
    SPINNING_BEFORE_THE_BOOT_COMMIT: History(
        seed=212,
        size=3,
        level=0,
        actions=(
            Action("send", 5, 15, 100),
            Action("copy", 1, 39, 0),
            Action("crash before sent", 6, 47, 200),
            Action("put back", 1, 23, 500),
            Action("crash before sent", 3, 17, 100),
            Action("send", 1, 8, 1500),
        ),
    ),
    CLOSED_GROUP_OF_A_FORMER_MEMBER: History(
        seed=6732214,
        size=3,
        level=0,
        actions=(
            Action("restart", 4, 58, 500),
            Action("send", 5, 114, 200),
            Action("crash before saved", 4, 68, 1500),
            Action("crash before saved", 3, 25, 40),
            Action("wait", 0, 0, 0),
            Action("invite", 0, 0, 0),
            Action("send", 1, 0, 100),
            Action("send", 1, 0, 100),
            Action("update", 1, 0, 0),
            Action("remove", 1, 0, 200),
            Action("send", 0, 4, 0),
            Action("send", 4, 5, 0),
            Action("send", 0, 4, 0),
            Action("send", 0, 3, 0),
        ),
        grown=True,
    ),
    KEY_PACKAGE_IN_THE_ADDING_COMMIT: History(
        seed=8981,
        size=4,
        level=0,
        actions=(
            Action("repeat", 5, 126, 1500),
            Action("send", 0, 78, 1500),
            Action("send", 3, 17, 100),
            Action("invite", 4, 55, 500),
            Action("sleep", 4, 111, 5),
            Action("send", 5, 100, 500),
            Action("update", 5, 67, 1500),
            Action("remove", 5, 0, 200),
            Action("crash idle", 6, 12, 200),
            Action("send", 0, 79, 500),
            Action("send", 4, 58, 500),
            Action("crash before saved", 6, 8, 5),
            Action("heal", 3, 37, 200),
            Action("invite", 5, 62, 0),
            Action("repeat", 6, 66, 200),
            Action("update", 6, 79, 100),
            Action("update", 2, 119, 1500),
            Action("partition", 1, 124, 500),
            Action("repeat", 4, 99, 100),
            Action("crash before saved", 4, 41, 500),
            Action("sleep", 1, 38, 0),
            Action("crash before sent", 2, 60, 5),
            Action("send", 5, 82, 200),
            Action("send", 1, 38, 40),
            Action("send", 2, 63, 0),
            Action("crash before saved", 3, 100, 0),
            Action("crash before saved", 5, 50, 0),
            Action("send", 6, 87, 1500),
            Action("send", 3, 79, 1500),
            Action("wait", 0, 27, 100),
            Action("send", 3, 29, 40),
        ),
        grown=True,
        suites=(1, 3),
    ),
}


@pytest.mark.parametrize("what", FOUND)
def test_what_was_once_wrong(what: str) -> None:
    play(FOUND[what], Engine)
