"""Histories of members that are added and removed, in which something was once wrong, as they were found."""

from __future__ import annotations

from tests.sim.history import Action, History

KEY_PACKAGE_IN_THE_ADDING_COMMIT = (
    "A member forgot a KeyPackage because somebody had reached the commit that published the next one: the very "
    "commit that added it, which it could not open."
)

CLOSED_GROUP_OF_A_FORMER_MEMBER = (
    "A member imported from somebody who was removed soon after joining. The founder had forgotten the KeyPackage by "
    "which that one had added it, so it could never follow: now it is added again."
)

EQUALLY_FAR_IN_A_FORMER_MEMBERS_GROUP = (
    "Somebody was removed whose newest commits had reached only a member that it added in them, and that one imported "
    "from there. Two others were equally far before: each waited for the other to say that it had no more either."
)

FURTHER_BACK_IN_A_FORMER_MEMBERS_GROUP = (
    "The same, where one of the two asked for older epochs too, which the other had never been in: it was told that "
    "the other could lead on from where both were."
)

FOUND = {
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
    EQUALLY_FAR_IN_A_FORMER_MEMBERS_GROUP: History(
        seed=154,
        size=4,
        level=1,
        actions=(
            Action("heal", 1, 76, 200),
            Action("update", 6, 40, 40),
            Action("sleep", 5, 93, 40),
            Action("update", 0, 15, 500),
            Action("send", 3, 115, 100),
            Action("send", 1, 79, 500),
            Action("send", 6, 127, 200),
            Action("remove", 1, 0, 200),
            Action("send", 3, 102, 0),
            Action("crash before sent", 2, 73, 200),
            Action("partition", 6, 26, 500),
            Action("heal", 5, 77, 5),
            Action("wait", 3, 122, 500),
            Action("wait", 2, 2, 200),
            Action("repeat", 0, 67, 0),
            Action("heal", 6, 47, 100),
            Action("invite", 3, 0, 5),
            Action("heal", 5, 10, 40),
        ),
        grown=True,
        suites=(1, 3),
    ),
    FURTHER_BACK_IN_A_FORMER_MEMBERS_GROUP: History(
        seed=1,
        size=4,
        level=3,
        actions=(
            Action("crash before saved", 3, 27, 0),
            Action("send", 0, 27, 0),
            Action("send", 0, 98, 100),
            Action("invite", 4, 99, 200),
            Action("send", 5, 6, 200),
            Action("repeat", 0, 115, 100),
            Action("wait", 1, 97, 100),
            Action("crash before sent", 4, 96, 40),
            Action("crash before sent", 3, 74, 0),
            Action("wait", 5, 52, 0),
            Action("crash before saved", 0, 41, 100),
            Action("crash before saved", 4, 51, 200),
            Action("wait", 5, 90, 40),
            Action("restart", 5, 106, 1500),
            Action("heal", 2, 104, 500),
            Action("remove", 2, 0, 200),
        ),
        grown=True,
        suites=(1, 3),
    ),
}
