"""Histories of forks and of what their closed branches hold, in which something was once wrong, as they were found."""

from __future__ import annotations

from tests.sim.history import Action, History

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

FRAMES_OF_A_BRANCH_THAT_IS_STILL_ASKED_FOR = (
    "Who said that it lacked a dead branch was taken for having it, so its frames went. From there somebody "
    "had imported, whose group it could not follow."
)

DIRECT_MESSAGES_OF_THE_OTHER_COPY = (
    "One of two copies of a node ended an epoch in which the other one had written to one member alone: when "
    "that came what opens it was gone."
)

BRANCH_THAT_CANNOT_BE_OPENED_AND_WAS_IMPORTED = (
    "A dead branch did not open for a member, and another one had imported from there. The one that had it was too far "
    "ahead for the member to follow its reports, and was asked for it again and again."
)

COUNT_ON_A_CLOSED_BRANCH = (
    "The last message of a dead branch was a report, and came late: a member that had reported less of the branch did "
    "not say that it held all now. Nobody ever agreed with it."
)

BRANCH_THAT_BEGINS_WHERE_ALL_WAS_SETTLED = (
    "An owner that was put back went on from an epoch that a member had let go of, and forgot in a crash that it had "
    "been put back. All told the member from where they could lead on, which was no use to it, and nobody added it."
)

MESSAGE_OF_A_CLOSED_HEAD_THAT_NOBODY_HAS = (
    "All had a message of a dead branch's head, so its frame went, and one was put back to before it: it waited for it "
    "for a day, and the others with it, and what came after it there was never read."
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
    BRANCH_THAT_BEGINS_WHERE_ALL_WAS_SETTLED: History(
        seed=80346,
        size=3,
        level=0,
        actions=(
            Action("copy", 2, 106, 1500),
            Action("partition", 1, 82, 0),
            Action("put back", 5, 107, 1500),
            Action("crash before sent", 5, 67, 0),
            Action("sleep", 4, 32, 0),
            Action("send", 3, 86, 0),
        ),
    ),
    MESSAGE_OF_A_CLOSED_HEAD_THAT_NOBODY_HAS: History(
        seed=83023,
        size=5,
        level=1,
        actions=(
            Action("copy", 0, 95, 200),
            Action("send", 4, 42, 100),
            Action("copy", 3, 102, 5),
            Action("wait", 0, 28, 40),
            Action("put back", 5, 82, 100),
            Action("restart", 4, 100, 100),
            Action("confirm", 2, 44, 5),
            Action("update", 2, 44, 0),
            Action("send", 2, 69, 40),
            Action("put back", 3, 102, 500),
        ),
    ),
}
