"""Where the daemon keeps its things: XDG base directories, or one directory given by `--home`.

Imported by the command line at every call, so it imports next to nothing.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from starling.daemon.errors import PlaceError

SUN_PATH = 107
"""The longest path of a Unix socket on Linux, in bytes, without the closing zero; macOS has 103."""

_PORTABLE_SUN_PATH = 103


class Paths(NamedTuple):
    """The places of one node: `data` (0700) holds the store, `runtime` (0700) the socket."""

    data: Path
    runtime: Path
    config: Path
    socket: Path

    @property
    def lock(self) -> Path:
        return self.data / "lock"

    @property
    def key_file(self) -> Path:
        return self.data / "node.key"

    @classmethod
    def find(cls, home: str | None = None, environ: Mapping[str, str] | None = None) -> Paths:
        """The places for `--home`, else for `STARLING_HOME`, else by XDG."""
        environ = os.environ if environ is None else environ
        home = home or environ.get("STARLING_HOME") or None
        user = Path(environ.get("HOME") or os.path.expanduser("~"))
        if home is not None:
            data = Path(os.path.abspath(os.path.expanduser(home)))
            runtime, config = data / "run", data / "starling.toml"
        else:
            data = _xdg(environ, "XDG_DATA_HOME", user / ".local" / "share")
            config = _xdg(environ, "XDG_CONFIG_HOME", user / ".config") / "starling.toml"
            base = environ.get("XDG_RUNTIME_DIR", "")
            runtime = Path(base) / "starling" if os.path.isabs(base) else data / "run"
        socket = runtime / "socket"
        if len(os.fsencode(socket)) > _PORTABLE_SUN_PATH:
            runtime, socket = _short(data, environ)
        return cls(data, runtime, config, socket)


def _xdg(environ: Mapping[str, str], variable: str, fallback: Path) -> Path:
    value = environ.get(variable, "")
    # The XDG text tells to ignore paths that are not absolute.
    return (Path(value) if os.path.isabs(value) else fallback) / "starling"


def _short(data: Path, environ: Mapping[str, str]) -> tuple[Path, Path]:
    """A runtime directory and socket short enough to be bound, named by a hash of the data directory."""
    import hashlib

    name = hashlib.blake2b(os.fsencode(data), digest_size=8).hexdigest() + ".sock"
    base = environ.get("XDG_RUNTIME_DIR", "")
    for runtime in ([Path(base) / "starling"] if os.path.isabs(base) else []) + [
        Path("/tmp") / f"starling-{os.geteuid()}"
    ]:
        if len(os.fsencode(runtime / name)) <= _PORTABLE_SUN_PATH:
            break
    return runtime, runtime / name


def private_directory(path: Path, *, create: bool) -> Path:
    """Make sure that `path` is a directory of this user alone (mode 0700); PlaceError where it is not."""
    if create:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700, exist_ok=True)
        except FileExistsError:
            raise PlaceError(f"{path} is not a directory; remove it, or choose another with --home") from None
        except OSError as error:
            raise PlaceError(f"cannot make {path}: {error.strerror}; choose another with --home") from None
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        raise PlaceError(f"{path} does not exist; run 'starling init' first", "not_initialised") from None
    except OSError as error:
        raise PlaceError(f"cannot look at {path}: {error.strerror}") from None
    if stat.S_ISLNK(info.st_mode):
        raise PlaceError(f"{path} is a symbolic link; give the directory itself with --home")
    if not stat.S_ISDIR(info.st_mode):
        raise PlaceError(f"{path} is not a directory; remove it, or choose another with --home")
    _own(path, info)
    if info.st_mode & 0o077:
        mode = stat.S_IMODE(info.st_mode)
        raise PlaceError(f"{path} is open to other users (mode {mode:04o}); run: chmod 700 {path}")
    return path


def sync_directory(path: Path) -> None:
    """Put on the disk which files a directory has: else a power cut could take away their names. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Not every file system of a stick or of another machine can do that.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def private_file(path: Path) -> None:
    """Make sure that `path` is a plain file of this user alone (mode 0600); PlaceError where it is not."""
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        raise PlaceError(f"{path} is missing; put it back, the store cannot be read without it") from None
    except OSError as error:
        raise PlaceError(f"cannot look at {path}: {error.strerror}") from None
    if not stat.S_ISREG(info.st_mode):
        raise PlaceError(f"{path} is not a plain file; put back the file that belongs there")
    _own(path, info)
    if info.st_mode & 0o077:
        mode = stat.S_IMODE(info.st_mode)
        raise PlaceError(f"{path} is open to other users (mode {mode:04o}); run: chmod 600 {path}")


def _own(path: Path, info: os.stat_result) -> None:
    if info.st_uid != os.geteuid():
        raise PlaceError(
            f"{path} belongs to another user (uid {info.st_uid}); run as that user, or use another --home"
        )
