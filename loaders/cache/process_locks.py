"""Locks between processes that share the cache, on file systems with and without flock.

Where flock works, the system lets go of a lock when its holder ends, so that waiting is
right however long it takes. Elsewhere (some mounts of Lustre and NFS) a lock is a file
that is there, and may have been left by a process that was killed: the wait has an end,
and says which file it is. The two kinds of lock have different files, because those of
flock stay when they are not held.
"""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from pereggrn_data.core.errors import UsageError

if TYPE_CHECKING:
    from filelock import BaseFileLock

LONGEST_WAIT = 600.0
"""Seconds to wait for a lock that may be left over."""

LOCK_MODE = 0o664
"""Whoever shares the cache must be able to take a lock that another has made."""

HELD_BY_EXISTING = ".held"
"""Ending of lock files where there is no flock."""

_BETWEEN_TRIES = 0.1
_TAKEN = (errno.EAGAIN, errno.EACCES)


@contextmanager
def one_of_locks(
    files: Sequence[Path], *, waiting_for: str, say: Callable[[str], None]
) -> Iterator[None]:
    """Hold one of some locks, the first that is free.

    Parameters
    ----------
    files
        Lock files, all in one existing folder.
    waiting_for
        What is said to be waited for.
    say
        Called once if there is a wait.

    Raises
    ------
    UsageError
        If locks are files that are there, and none has gone in :data:`LONGEST_WAIT`.
    """
    ends = not has_flock(files[0].parent)
    locks = [_lock(file, by_existing=ends) for file in files]
    held = next((lock for lock in locks if _try(lock, 0.0)), None)
    if held is None:
        names = " and ".join(lock.lock_file for lock in locks)
        until = f" for at most {LONGEST_WAIT:.0f} s" if ends else ""
        say(f"waiting for {waiting_for}{until} (lock file {names}{_since(locks) if ends else ''})")
        held = _waited(locks, LONGEST_WAIT if ends else None)
    try:
        yield
    finally:
        held.release()


def open_without_links(path: Path, flags: int) -> int:
    """Open a file in a folder that others may write to, and return its handle.

    Raises
    ------
    UsageError
        If it is a link: whoever made it could let us change a file elsewhere.
    OSError
        If it cannot be opened.
    """
    try:
        return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP or path.is_symlink():
            raise _link_instead(path) from None
        raise


def _link_instead(path: Path) -> UsageError:
    return UsageError(
        f"{path} is a link, and not a file of the cache.",
        expected="a file",
        got="a link, which is not followed",
        fix="find out who has put it there, and remove it.",
    )


def has_flock(folder: Path) -> bool:
    """Say whether files in a folder can be locked by flock; False where there is no flock."""
    try:
        import fcntl
    except ImportError:
        return False
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno in _TAKEN
    return True


def _lock(file: Path, *, by_existing: bool) -> BaseFileLock:
    from filelock import FileLock, SoftFileLock

    if file.is_symlink():
        raise _link_instead(file)
    if by_existing:
        return SoftFileLock(file.with_name(file.name + HELD_BY_EXISTING), mode=LOCK_MODE)
    return FileLock(file, mode=LOCK_MODE)


def _try(lock: BaseFileLock, seconds: float) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return False
    return True


def _waited(locks: Sequence[BaseFileLock], longest: float | None) -> BaseFileLock:
    end = None if longest is None else time.monotonic() + longest
    for lock in cycle(locks):
        if _try(lock, _BETWEEN_TRIES):
            return lock
        if end is not None and time.monotonic() > end:
            break
    names = ", ".join(lock.lock_file for lock in locks)
    raise UsageError(
        f"Another process has held a lock of the cache for more than {longest:.0f} s, or has left "
        "it behind.",
        expected="a lock that is free, or is let go of",
        got=f"{names}{_since(locks)}; this file system has no flock",
        fix="if no other pereggrn-data is at work, here or on another machine, remove the file; "
        "else try again later.",
    )


def _since(locks: Sequence[BaseFileLock]) -> str:
    """Say since when the oldest lock file is there."""
    times = []
    for lock in locks:
        try:
            times.append(Path(lock.lock_file).stat().st_mtime)
        except OSError:
            continue  # it has just gone
    if not times:
        return ""
    return f", there since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(min(times)))}"
