"""Locks between processes that share the cache, on file systems with and without flock.

Where flock works, the system lets go of a lock when its holder ends. Elsewhere (some mounts
of Lustre and NFS) a lock is a file that is there, and may have been left by a process that
was killed. The two kinds of lock have different files, because those of flock stay when
they are not held.

Whoever holds a lock says who it is in a file beside it, and touches that file while it is
at work. A wait goes on while the holder gives signs of life, and ends when there are none:
a holder that was stopped, or has gone from a machine without flock, would be waited for for
ever.
"""

from __future__ import annotations

import errno
import getpass
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.cache.unlinked import link_instead, open_without_links, read_small

if TYPE_CHECKING:
    from filelock import BaseFileLock

WAIT_VARIABLE = "PEREGGRN_LOCK_WAIT"

LONGEST_WAIT = 600.0
"""Seconds to wait for a lock whose holder gives no sign of life."""

LONGEST_IN_ALL = 86_400.0
"""Seconds to wait for a lock at all."""

BETWEEN_SIGNS = 20.0
"""Seconds between the signs of life of a holder; much less than anybody would wait."""

HELD_BY_EXISTING = ".held"
"""Ending of lock files where there is no flock."""

HOLDER = ".holder"
"""Ending of the files that say who holds a lock."""

_BETWEEN_TRIES = 0.1
_TAKEN = (errno.EAGAIN, errno.EACCES)


def longest_wait() -> float:
    """Return how long to wait for a holder without a sign of life, in seconds.

    Raises
    ------
    UsageError
        If ``PEREGGRN_LOCK_WAIT`` is no number of seconds.
    """
    text = os.environ.get(WAIT_VARIABLE)
    if not text:
        return LONGEST_WAIT
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_IN_ALL:
        raise UsageError(
            f"{WAIT_VARIABLE} is no time to wait.",
            expected=f"seconds, from 0 to {LONGEST_IN_ALL:.0f}",
            got=repr(text)[:60],
        )
    return seconds


@contextmanager
def one_of_locks(
    files: Sequence[Path],
    *,
    waiting_for: str,
    say: Callable[[str], None],
    group_bits: int = 0,
) -> Iterator[None]:
    """Hold one of some locks, the first that is free.

    Parameters
    ----------
    files
        Lock files, all in one existing folder.
    waiting_for
        What is said to be waited for.
    say
        Called once if there is a wait, with who holds the locks and since when.
    group_bits
        Permissions that new files get beside those that the umask gives.

    Raises
    ------
    UsageError
        If no holder gives a sign of life for as long as :func:`longest_wait` says.
    """
    by_existing = not has_flock(files[0].parent)
    locks = [_lock(file, by_existing=by_existing, group_bits=group_bits) for file in files]
    held = next((lock for lock in locks if _try(lock, 0.0)), None)
    if held is None:
        longest = longest_wait()
        names = " and ".join(lock.lock_file for lock in locks)
        say(
            f"waiting for {waiting_for}: {_holders(locks)}; for at most {longest:.0f} s without "
            f"a sign of life (lock file {names})"
        )
        held = _waited(locks, longest, by_existing=by_existing)
    try:
        with _signs_of_life(_holder_file(held), group_bits):
            yield
    finally:
        held.release()


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


def _lock(file: Path, *, by_existing: bool, group_bits: int) -> BaseFileLock:
    from filelock import FileLock, SoftFileLock

    if file.is_symlink():
        raise link_instead(file)
    # Without a mode, the umask of whoever is first decides.
    more: dict[str, Any] = {"mode": 0o600 | group_bits} if group_bits else {}
    if by_existing:
        return SoftFileLock(file.with_name(file.name + HELD_BY_EXISTING), **more)
    return FileLock(file, **more)


def _try(lock: BaseFileLock, seconds: float) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return False
    return True


def _waited(locks: Sequence[BaseFileLock], longest: float, *, by_existing: bool) -> BaseFileLock:
    start = seen_at = time.monotonic()
    seen = _signs(locks)
    for lock in cycle(locks):
        if _try(lock, _BETWEEN_TRIES):
            return lock
        now = time.monotonic()
        # Clocks of two machines differ, so that only the change of a time says something.
        if (signs := _signs(locks)) != seen:
            seen, seen_at = signs, now
        if now - seen_at > longest or now - start > LONGEST_IN_ALL:
            break
    names = ", ".join(lock.lock_file for lock in locks)
    fix = (
        "if no other pereggrn-data is at work, here or on another machine, remove the file; "
        "else try again later."
    )
    if not by_existing:
        fix = (
            "find out whether that process is stopped: let it go on (kill -CONT) or end it, and "
            "the lock is free; else try again later."
        )
    without = "; this file system has no flock" if by_existing else ""
    raise UsageError(
        f"Another process has held a lock of the cache for more than {longest:.0f} s without a "
        "sign of life, or has left it behind.",
        expected="a lock that is free, or is let go of",
        got=f"{names}, {_holders(locks)}{without}",
        fix=fix,
    )


# ---- who holds a lock


@contextmanager
def _signs_of_life(file: Path, group_bits: int) -> Iterator[None]:
    """Say beside a lock who holds it, and touch that file until it is let go of."""
    handle = None
    with suppress(OSError, UsageError):  # only a help for those who wait
        # Never written over: it may be a link, or belong to a holder of another user.
        file.unlink(missing_ok=True)
        handle = open_without_links(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        if group_bits:
            os.fchmod(handle, os.fstat(handle).st_mode | group_bits)
        os.write(handle, json.dumps(_ourselves()).encode())
    done = threading.Event()

    def touch() -> None:
        while handle is not None and not done.wait(BETWEEN_SIGNS):
            with suppress(OSError):
                os.utime(handle)

    thread = threading.Thread(target=touch, daemon=True, name="signs of life")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if handle is not None:
            with suppress(OSError):
                file.unlink()
            os.close(handle)


def _ourselves() -> dict[str, Any]:
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user id that the system does not know
        user = ""
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return {"process": os.getpid(), "machine": socket.gethostname(), "user": user, "since": since}


def _holder_file(lock: BaseFileLock) -> Path:
    return Path(lock.lock_file + HOLDER)


def _signs(locks: Sequence[BaseFileLock]) -> list[int]:
    """Return the times at which the holders of locks last gave a sign of life."""
    found = []
    for lock in locks:
        try:
            found.append(_holder_file(lock).lstat().st_mtime_ns)
        except OSError:
            found.append(0)
    return found


def _holders(locks: Sequence[BaseFileLock]) -> str:
    """Say who holds locks, and since when, as far as that is known."""
    return " and ".join(dict.fromkeys(_holder(lock) for lock in locks))


def _holder(lock: BaseFileLock) -> str:
    try:
        said = json.loads(read_small(_holder_file(lock)))
        by = f" of {said['user']!s:.60}" if said["user"] else ""
        where = f"process {int(said['process'])}{by} on {said['machine']!s:.100}"
        return f"held by {where} since {said['since']!s:.30}"
    except (OSError, UsageError, ValueError, TypeError, KeyError, RecursionError):
        pass
    try:
        there = time.localtime(Path(lock.lock_file).lstat().st_mtime)
    except (OSError, OverflowError, ValueError):
        return "held by a process that does not say who it is"  # or it has just gone
    return f"there since {time.strftime('%Y-%m-%d %H:%M:%S', there)}"
