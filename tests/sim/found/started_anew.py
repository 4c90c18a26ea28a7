"""Histories of members that start anew and are added again, in which something was once wrong, as they were found."""

from __future__ import annotations

from tests.sim.history import Action, History

WELCOME_TO_A_BRANCH_WITHOUT_A_COMMON_PARENT = (
    "A joiner was added on both branches of a fork, and could enter one. It waited for ever for what "
    "others had imported from the other one."
)

TWO_COPIES_ASK_IN_ONE_SECOND = (
    "Both of a cloned node asked to start anew, by the same incarnation: the one that was not admitted "
    "was never told."
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

REPORT_OF_A_GROUP_THAT_WAS_GIVEN_UP = (
    "A member started anew, and what it had last reported in its old group was read after its first report in "
    "the new one, and in its place."
)

ASKED_WHILE_ITS_GROUP_WAS_FORKED = (
    "A member asked to be added again while its own group was forked, and nobody looked again when it closed "
    "the other branch."
)

EPOCH_OF_A_GROUP_THAT_WAS_GIVEN_UP = (
    "A newcomer waited a day for an epoch of a dead branch, to which it never had the Welcome, though its owner had "
    "started anew meanwhile and nobody would ever add it there."
)

ENTERED_ANEW_WHILE_IT_WAS_FORKED = (
    "A member's group was forked here when it asked to be added again, so that was put off. The fork ended as this "
    "node was itself let into that group anew: nobody looked again at who was waiting."
)

ANEW_IN_THE_SECOND_IN_WHICH_ITS_COPY_ASKED = (
    "One of two copies raised its incarnation because it was stuck, to the second, and the other one started anew in "
    "that second: whoever had added the one took its leaf for that of the other."
)

FOUND = {
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
    ENTERED_ANEW_WHILE_IT_WAS_FORKED: History(
        seed=80021,
        size=3,
        level=1,
        actions=(
            Action("copy", 3, 93, 1500),
            Action("confirm", 2, 110, 100),
            Action("crash before saved", 3, 32, 0),
            Action("send", 5, 17, 40),
            Action("partition", 6, 64, 40),
            Action("partition", 6, 123, 500),
            Action("wait", 1, 49, 100),
            Action("confirm", 4, 63, 100),
            Action("copy", 5, 10, 500),
            Action("send", 5, 56, 0),
            Action("put back", 0, 114, 0),
            Action("put back", 3, 106, 1500),
        ),
    ),
    ANEW_IN_THE_SECOND_IN_WHICH_ITS_COPY_ASKED: History(
        seed=80008,
        size=3,
        level=0,
        actions=(
            Action("partition", 5, 89, 0),
            Action("copy", 4, 14, 0),
            Action("invite", 3, 117, 0),
            Action("update", 6, 102, 1500),
            Action("burst", 6, 0, 1500),
            Action("clone", 5, 57, 0),
            Action("crash idle", 1, 56, 500),
            Action("put back", 1, 39, 1500),
            Action("update", 1, 19, 200),
        ),
    ),
}
