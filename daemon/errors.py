"""What goes wrong for reasons that a person can mend: each text is one line that says what to do."""

from __future__ import annotations


class DaemonError(Exception):
    """The base; `code` is a short word for programs, the text one sentence for people."""

    code = "error"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or type(self).code


class StoreError(DaemonError):
    """The store cannot be opened, read or written; nothing half-written is kept."""

    code = "store"


class ConfigError(DaemonError):
    """The configuration file does not parse, or says something that is not known."""

    code = "config"


class PlaceError(DaemonError):
    """A directory or file of the daemon is missing, of another user, too open, or not what it should be."""

    code = "place"


class LockedError(DaemonError):
    """Another process uses the data directory."""

    code = "locked"


class BackupError(DaemonError):
    """A backup cannot be written or read; nothing of it is kept or used."""

    code = "backup"


class NotRunning(DaemonError):
    """No daemon answers on the socket."""

    code = "not_running"
