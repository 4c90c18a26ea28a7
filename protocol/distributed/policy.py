"""When a node updates, imports, reports and asks: the figures of PROTOCOL X-12, R1 and 5.6, in milliseconds."""

from __future__ import annotations

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

UPDATE_INTERVAL = DAY
UPDATE_MIN_GAP = 10 * MINUTE
IMPORT_BEFORE_SEND = 60 * SECOND
IMPORT_TIMER_LEAST = 60 * SECOND
IMPORT_TIMER_MOST = HOUR
FIRST_PATH_COMMIT = 60 * SECOND
BOOT_WAIT = 5 * SECOND
REPORT_QUIET = 400
REPORT_MIN_GAP = 2 * SECOND
REPORT_UNDER_LOAD = 60 * SECOND
PULSE_INTERVAL = 4 * SECOND
BEHIND_GRACE = 400
ASK_AGAIN = 2 * SECOND
ASK_SELDOM = 5 * MINUTE
JOIN_AGAIN = 2 * SECOND
WAITING_RETENTION = 5 * MINUTE
FRAME_RETENTION = 30 * DAY
KEY_PACKAGE_RETENTION = 7 * DAY


def update_message_limit(members: int) -> int:
    """After how many user messages an update is due: max(100, 20·N) (X-12)."""
    return max(100, 20 * members)
