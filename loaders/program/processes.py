"""End a program with all that it has started, also when we are told to end ourselves."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

RUN_VARIABLE = "PEREGGRN_RUN"
"""Environment variable by which all that a program starts is known, wherever it goes."""

_PROCESSES = Path("/proc")
_ROUNDS, _PAUSE = 50, 0.02
_SHELL_ADDS = 128


class Endings:
    """Whether we have been told to end."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def check(self) -> None:
        """Raise ``SystemExit`` if we are to end.

        The status is 128 and the signal's number, as a shell reports one.
        """
        if self.signal is not None:
            raise SystemExit(_SHELL_ADDS + self.signal)


@contextlib.contextmanager
def endings_noted() -> Iterator[Endings]:
    """Only note SIGTERM and SIGHUP meanwhile, so that what is open is closed before we end.

    Whoever waits asks with :meth:`Endings.check`; the way out asks, too. (An
    exception out of the handler itself would be lost where Python happens to
    collect garbage, and could interrupt the clearing up.) A signal that is
    ignored (``nohup``) or that others handle is left to them, and so are all of
    them outside the main thread, where Python handles no signals.
    """
    endings = Endings()
    if threading.current_thread() is not threading.main_thread():
        yield endings
        return

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        endings.signal = number

    ours = [s for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) is signal.SIG_DFL]
    try:
        for s in ours:
            signal.signal(s, note)
        yield endings
    finally:
        for s in ours:
            signal.signal(s, signal.SIG_DFL)
        endings.check()


def marked_environment(token: str) -> dict[str, str]:
    """Return our environment with a mark; those of runs that we are part of stay."""
    outer = os.environ.get(RUN_VARIABLE)
    return {**os.environ, RUN_VARIABLE: f"{outer}:{token}" if outer else token}


def end_all(root: int | None, token: str) -> None:
    """Kill a program and what it has started.

    Parameters
    ----------
    root
        The program, which leads a process group; None if it is not known.
    token
        Its mark.

    Notes
    -----
    On Linux, ``/proc`` tells who descends from the program, is in its session,
    or carries its mark: that finds daemons, which have left both. Elsewhere
    there is only its process group.
    """
    for _ in range(_ROUNDS):
        found = _started_by(root, token)
        if root is not None and (found or not _PROCESSES.is_dir() or _lives(root)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(root, signal.SIGKILL)
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return
        time.sleep(_PAUSE)


def _lives(pid: int) -> bool:
    """Say whether a process is there; a number that is free may soon be another's."""
    return (_PROCESSES / str(pid)).is_dir()


def _started_by(root: int | None, token: str) -> set[int]:
    """Return the living processes of a program but itself."""
    children: dict[int, list[int]] = {}
    found: set[int] = set()
    entries = _PROCESSES.iterdir() if _PROCESSES.is_dir() else ()
    for entry in entries:
        if not entry.name.isdecimal():
            continue
        pid = int(entry.name)
        try:
            # The name, in parentheses, may hold anything; state and numbers follow it.
            state, parent, _, session = (
                (entry / "stat").read_bytes().rpartition(b")")[2].split()[:4]
            )
        except (OSError, ValueError):
            continue
        if state in (b"Z", b"X"):
            continue
        children.setdefault(int(parent), []).append(pid)
        if int(session) == root or token.encode() in _environment(entry):
            found.add(pid)
    waiting = [*found] if root is None else [*found, root]
    while waiting:
        new = [pid for pid in children.get(waiting.pop(), ()) if pid not in found]
        found.update(new)
        waiting += new
    return found - {os.getpid(), root or 0}


def _environment(entry: Path) -> bytes:
    try:
        return (entry / "environ").read_bytes()
    except OSError:  # another user's, or gone
        return b""
