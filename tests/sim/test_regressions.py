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

MESSAGES_THAT_NO_COMMIT_COUNTS = (
    "An owner was put back to before messages that one member had got, and ended their epoch without "
    "counting them: who had not got them by then never did."
)

CLOSED_BRANCH_THAT_NOBODY_HOLDS_WHOLE = (
    "Messages of a dead branch were held by one member alone, which was then added again past them: the "
    "others waited for them for a day."
)

FRAMES_AND_OLDER_RECORDS_GONE = (
    "Who was put back as a receiver listed older epochs too, of which not even the records were left: the answer told "
    "of those alone, so it never learned that the frames that it needed were gone."
)

CLOSED_BRANCH_THAT_CANNOT_BE_OPENED = (
    "A commit of a dead branch was sealed to a KeyPackage that a member had forgotten as it was put back: "
    "it asked for it again and again, as quickly as it was answered."
)

WELCOME_TO_A_BRANCH_WITHOUT_A_COMMON_PARENT = (
    "A joiner was added on both branches of a fork, and could enter one. It waited for ever for what "
    "others had imported from the other one."
)

TWO_COPIES_ASK_IN_ONE_SECOND = (
    "Both of a cloned node asked to start anew, by the same incarnation: the one that was not admitted "
    "was never told."
)

EQUALLY_FAR_IN_A_FORMER_MEMBERS_GROUP = (
    "Somebody was removed whose newest commits had reached only a member that it added in them, and that one imported "
    "from there. Two others were equally far before: each waited for the other to say that it had no more either."
)

FURTHER_BACK_IN_A_FORMER_MEMBERS_GROUP = (
    "The same, where one of the two asked for older epochs too, which the other had never been in: it was told that "
    "the other could lead on from where both were."
)

ADDRESS_OF_WHO_STARTED_ANEW = (
    "Where to dial a member was forgotten when that started anew. Another one, which asked to start anew too, never "
    "met it again: it had known only where a copy of this other one had been."
)

STUCK_IN_THE_GROUPS_OF_EACH_OTHER = (
    "Two members were each stuck in the other's group. The one found that out after it had told its newer KeyPackages "
    "because of another group, and did not tell them again to whom they were now the only way."
)

REMOVED_ON_THE_BRANCH_THAT_COUNTS = (
    "An owner that was put back removed on its new branch who had started anew. That one could not enter it, held to "
    "the old branch, which only that commit closed, and waited for ever."
)

FRAMES_OF_A_BRANCH_THAT_IS_STILL_ASKED_FOR = (
    "Who said that it lacked a dead branch was taken for having it, so its frames went. From there somebody "
    "had imported, whose group it could not follow."
)

REPORT_OF_A_GROUP_THAT_WAS_GIVEN_UP = (
    "A member started anew, and what it had last reported in its old group was read after its first report in "
    "the new one, and in its place."
)

DIRECT_MESSAGES_OF_THE_OTHER_COPY = (
    "One of two copies of a node ended an epoch in which the other one had written to one member alone: when "
    "that came what opens it was gone."
)

ASKED_WHILE_ITS_GROUP_WAS_FORKED = (
    "A member asked to be added again while its own group was forked, and nobody looked again when it closed "
    "the other branch."
)

BRANCH_THAT_CANNOT_BE_OPENED_AND_WAS_IMPORTED = (
    "A dead branch did not open for a member, and another one had imported from there. The one that had it was too far "
    "ahead for the member to follow its reports, and was asked for it again and again."
)

EPOCH_OF_A_GROUP_THAT_WAS_GIVEN_UP = (
    "A newcomer waited a day for an epoch of a dead branch, to which it never had the Welcome, though its owner had "
    "started anew meanwhile and nobody would ever add it there."
)

COUNT_ON_A_CLOSED_BRANCH = (
    "The last message of a dead branch was a report, and came late: a member that had reported less of the branch did "
    "not say that it held all now. Nobody ever agreed with it."
)

FOUND = {
    COUNT_ON_A_CLOSED_BRANCH: History(
        seed=68026,
        size=3,
        level=3,
        actions=(
            Action("restart", 5, 59, 0),
            Action("copy", 3, 109, 1500),
            Action("send", 6, 46, 0),
            Action("copy", 3, 10, 0),
            Action("send", 4, 70, 1500),
            Action("send", 6, 40, 40),
            Action("send", 1, 12, 1500),
            Action("put back", 6, 124, 0),
            Action("partition", 5, 19, 40),
            Action("wait", 6, 96, 100),
            Action("send", 1, 32, 5),
            Action("wait", 2, 114, 1500),
        ),
        grown=False,
        suites=(1,),
    ),
    EPOCH_OF_A_GROUP_THAT_WAS_GIVEN_UP: History(
        seed=66358,
        size=3,
        level=0,
        actions=(
            Action("crash idle", 5, 92, 0),
            Action("send", 2, 1, 0),
            Action("confirm", 2, 36, 500),
            Action("copy", 4, 100, 500),
            Action("send", 0, 61, 40),
            Action("put back", 1, 30, 200),
            Action("wait", 2, 18, 0),
            Action("invite", 0, 61, 0),
            Action("clone", 5, 11, 500),
            Action("crash before sent", 3, 108, 200),
            Action("put back", 6, 81, 1500),
            Action("burst", 0, 35, 0),
            Action("wait", 1, 64, 1500),
            Action("send", 0, 64, 100),
            Action("wait", 6, 5, 5),
            Action("clone", 0, 16, 100),
            Action("put back", 5, 115, 0),
            Action("partition", 5, 56, 200),
            Action("wait", 5, 106, 0),
            Action("send", 6, 45, 1500),
            Action("burst", 6, 81, 1500),
            Action("copy", 5, 55, 500),
            Action("crash before sent", 3, 96, 200),
            Action("update", 4, 52, 0),
            Action("send", 0, 127, 0),
        ),
    ),
    BRANCH_THAT_CANNOT_BE_OPENED_AND_WAS_IMPORTED: History(
        seed=65113,
        size=3,
        level=1,
        actions=(
            Action("copy", 6, 123, 40),
            Action("send", 0, 101, 100),
            Action("put back", 3, 9, 200),
            Action("send", 3, 100, 0),
            Action("large", 6, 41, 40),
            Action("copy", 2, 22, 0),
            Action("copy", 0, 100, 500),
            Action("put back", 5, 79, 0),
            Action("crash before saved", 4, 78, 0),
            Action("put back", 4, 56, 200),
            Action("put back", 0, 21, 1500),
            Action("send", 4, 28, 1500),
        ),
    ),
    FRAMES_OF_A_BRANCH_THAT_IS_STILL_ASKED_FOR: History(
        seed=60338,
        size=3,
        level=0,
        actions=(
            Action("large", 6, 18, 1500),
            Action("heal", 0, 79, 1500),
            Action("crash idle", 3, 16, 40),
            Action("partition", 2, 74, 5),
            Action("confirm", 2, 45, 200),
            Action("crash before saved", 5, 106, 200),
            Action("clone", 1, 89, 500),
            Action("copy", 1, 67, 1500),
            Action("put back", 5, 96, 500),
            Action("heal", 3, 126, 200),
            Action("put back", 4, 74, 40),
            Action("crash before sent", 6, 110, 200),
            Action("put back", 4, 55, 0),
            Action("send", 0, 86, 5),
            Action("update", 5, 30, 100),
        ),
    ),
    REPORT_OF_A_GROUP_THAT_WAS_GIVEN_UP: History(
        seed=60073,
        size=3,
        level=0,
        actions=(
            Action("copy", 1, 21, 0),
            Action("send", 2, 101, 500),
            Action("crash before saved", 5, 98, 0),
            Action("clone", 4, 28, 5),
            Action("partition", 0, 30, 0),
            Action("send", 5, 69, 40),
            Action("confirm", 4, 116, 500),
            Action("restart", 5, 79, 100),
            Action("confirm", 0, 53, 100),
            Action("crash before saved", 5, 42, 200),
            Action("copy", 1, 87, 200),
            Action("heal", 4, 112, 1500),
            Action("send", 6, 83, 0),
            Action("large", 0, 87, 500),
            Action("send", 5, 89, 100),
            Action("copy", 0, 8, 100),
            Action("copy", 0, 95, 100),
            Action("put back", 5, 102, 200),
            Action("send", 1, 24, 40),
        ),
    ),
    DIRECT_MESSAGES_OF_THE_OTHER_COPY: History(
        seed=50086,
        size=3,
        level=0,
        actions=(
            Action("wait", 6, 40, 200),
            Action("burst", 2, 29, 0),
            Action("copy", 5, 7, 40),
            Action("crash before saved", 6, 64, 500),
            Action("send", 1, 75, 200),
            Action("copy", 1, 56, 5),
            Action("send", 1, 72, 0),
            Action("clone", 1, 17, 0),
            Action("confirm", 3, 86, 200),
            Action("send", 5, 19, 0),
            Action("wait", 5, 106, 200),
        ),
    ),
    ASKED_WHILE_ITS_GROUP_WAS_FORKED: History(
        seed=61357,
        size=3,
        level=0,
        actions=(
            Action("copy", 6, 64, 200),
            Action("put back", 2, 122, 500),
            Action("copy", 4, 119, 500),
            Action("crash idle", 1, 116, 500),
            Action("update", 3, 52, 500),
            Action("send", 0, 81, 200),
            Action("send", 5, 91, 5),
            Action("send", 6, 3, 40),
            Action("partition", 3, 22, 200),
            Action("put back", 3, 60, 5),
            Action("heal", 1, 78, 5),
            Action("wait", 6, 102, 200),
            Action("send", 4, 61, 0),
        ),
    ),
    REMOVED_ON_THE_BRANCH_THAT_COUNTS: History(
        seed=30151,
        size=5,
        level=1,
        actions=(
            Action("copy", 3, 66, 40),
            Action("copy", 5, 47, 40),
            Action("clone", 3, 124, 200),
            Action("put back", 0, 110, 0),
        ),
    ),
    ADDRESS_OF_WHO_STARTED_ANEW: History(
        seed=13094,
        size=3,
        level=0,
        actions=(
            Action("copy", 2, 127, 100),
            Action("copy", 3, 74, 40),
            Action("confirm", 3, 87, 1500),
            Action("clone", 5, 106, 1500),
            Action("partition", 5, 57, 1500),
            Action("send", 2, 5, 1500),
            Action("put back", 0, 119, 0),
            Action("crash idle", 3, 13, 1500),
        ),
    ),
    STUCK_IN_THE_GROUPS_OF_EACH_OTHER: History(
        seed=20363,
        size=3,
        level=0,
        actions=(
            Action("invite", 4, 46, 500),
            Action("send", 0, 97, 0),
            Action("send", 0, 13, 500),
            Action("wait", 6, 71, 5),
            Action("copy", 3, 55, 500),
            Action("send", 5, 52, 500),
            Action("crash idle", 3, 38, 100),
            Action("copy", 1, 80, 200),
            Action("crash idle", 0, 52, 100),
            Action("copy", 3, 76, 1500),
            Action("send", 4, 29, 5),
            Action("put back", 6, 52, 1500),
            Action("restart", 4, 36, 100),
            Action("put back", 6, 86, 500),
            Action("wait", 6, 110, 100),
            Action("put back", 3, 95, 0),
            Action("put back", 5, 118, 40),
            Action("large", 1, 49, 1500),
            Action("partition", 0, 83, 500),
        ),
    ),
    MESSAGES_THAT_NO_COMMIT_COUNTS: History(
        seed=407,
        size=3,
        level=0,
        actions=(
            Action("heal", 4, 117, 500),
            Action("copy", 0, 117, 40),
            Action("crash before saved", 1, 93, 0),
            Action("send", 4, 86, 0),
            Action("send", 0, 93, 500),
            Action("put back", 3, 96, 0),
        ),
    ),
    CLOSED_BRANCH_THAT_NOBODY_HOLDS_WHOLE: History(
        seed=1031,
        size=3,
        level=0,
        actions=(
            Action("copy", 0, 8, 200),
            Action("restart", 0, 95, 100),
            Action("invite", 6, 101, 1500),
            Action("restart", 0, 123, 5),
            Action("copy", 6, 8, 40),
            Action("confirm", 2, 48, 200),
            Action("repeat", 2, 12, 1500),
            Action("send", 1, 71, 1500),
            Action("update", 1, 127, 100),
            Action("copy", 4, 115, 1500),
            Action("put back", 6, 39, 5),
            Action("partition", 2, 90, 500),
            Action("restart", 2, 55, 5),
            Action("wait", 1, 24, 100),
            Action("put back", 4, 89, 0),
        ),
    ),
    FRAMES_AND_OLDER_RECORDS_GONE: History(
        seed=5129,
        size=3,
        level=0,
        actions=(
            Action("sleep", 1, 101, 40),
            Action("partition", 4, 34, 5),
            Action("update", 0, 41, 0),
            Action("restart", 0, 41, 1500),
            Action("crash before saved", 5, 18, 500),
            Action("burst", 3, 125, 200),
            Action("copy", 0, 51, 0),
            Action("put back", 1, 93, 100),
            Action("wait", 6, 24, 200),
            Action("partition", 0, 5, 1500),
            Action("send", 1, 77, 1500),
            Action("heal", 3, 17, 1500),
            Action("put back", 5, 123, 100),
            Action("put back", 6, 25, 0),
        ),
    ),
    CLOSED_BRANCH_THAT_CANNOT_BE_OPENED: History(
        seed=5087,
        size=3,
        level=0,
        actions=(
            Action("copy", 1, 39, 0),
            Action("repeat", 5, 33, 500),
            Action("copy", 2, 46, 5),
            Action("send", 5, 105, 0),
            Action("heal", 2, 44, 200),
            Action("put back", 5, 62, 0),
            Action("confirm", 2, 120, 200),
            Action("put back", 1, 78, 40),
        ),
    ),
    WELCOME_TO_A_BRANCH_WITHOUT_A_COMMON_PARENT: History(
        seed=400,
        size=3,
        level=0,
        actions=(
            Action("copy", 2, 23, 1500),
            Action("invite", 3, 108, 100),
            Action("crash before sent", 3, 54, 500),
            Action("put back", 6, 1, 500),
            Action("update", 0, 25, 0),
            Action("send", 0, 58, 5),
            Action("clone", 3, 70, 1500),
        ),
    ),
    TWO_COPIES_ASK_IN_ONE_SECOND: History(
        seed=424,
        size=3,
        level=0,
        actions=(
            Action("invite", 6, 35, 0),
            Action("large", 0, 102, 40),
            Action("sleep", 6, 97, 1500),
            Action("crash before sent", 1, 99, 200),
            Action("clone", 2, 108, 1500),
            Action("copy", 2, 86, 40),
            Action("send", 4, 15, 100),
            Action("put back", 4, 37, 1500),
            Action("put back", 2, 115, 1500),
            Action("send", 4, 65, 1500),
            Action("update", 1, 71, 200),
            Action("copy", 3, 108, 1500),
            Action("wait", 1, 99, 100),
            Action("clone", 6, 92, 1500),
            Action("send", 4, 0, 500),
            Action("copy", 3, 4, 500),
        ),
    ),
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


@pytest.mark.parametrize("what", FOUND)
def test_what_was_once_wrong(what: str) -> None:
    play(FOUND[what], Engine)
