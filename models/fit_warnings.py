"""What warns while a model is fitted: the method, and nobody else.

Warnings are of the whole process. While one thread fits, the garbage collector may find
files that other code left open, and other threads, such as those of a cluster's worker, may
warn of their own affairs. Notes of a fit stand in the file of its forecasts, which must be
the same to the last byte wherever and beside whatever it is made.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

OF_PROGRAMS = (
    ResourceWarning,
    DeprecationWarning,
    PendingDeprecationWarning,
    ImportWarning,
    BytesWarning,
)
"""Kinds that tell programmers of code, and users nothing of their data."""


@contextmanager
def noting_warnings(*, of_all_threads: bool = False) -> Iterator[list[Warning]]:
    """Gather, in a list, the warnings that tell users of their data, instead of showing them.

    Each is gathered as often as it is given. Those of :data:`OF_PROGRAMS` are passed over.

    Parameters
    ----------
    of_all_threads
        Whether those of other threads are gathered too, and not shown as before.
    """
    noted: list[Warning] = []
    gathering = _Gathering(None if of_all_threads else threading.get_ident(), noted)
    _begin(gathering)
    try:
        yield noted
    finally:
        _end(gathering)


@dataclass(frozen=True, eq=False)
class _Gathering:
    """Who gathers: of one thread, or of all of them."""

    thread: int | None
    noted: list[Warning]


@dataclass
class _Process:
    """What Python does with warnings is one setting of the process, which all gatherings share.

    Those of several threads overlap without being nested: the first one changes the
    setting, and whichever is the last to end restores it.
    """

    lock: threading.RLock = field(default_factory=threading.RLock)
    active: list[_Gathering] = field(default_factory=list)
    before: Any = None
    shown: Callable[..., Any] = warnings.showwarning


_PROCESS = _Process()


def _begin(gathering: _Gathering) -> None:
    with _PROCESS.lock:
        if not _PROCESS.active:
            _PROCESS.before = warnings.catch_warnings()
            _PROCESS.before.__enter__()
        if warnings.showwarning is not _note:  # others replace it as well, and put it back
            _PROCESS.shown = warnings.showwarning
        warnings.simplefilter("always")
        for kind in OF_PROGRAMS:
            warnings.simplefilter("ignore", kind)
        warnings.showwarning = _note
        _PROCESS.active.append(gathering)


def _end(gathering: _Gathering) -> None:
    with _PROCESS.lock:
        _PROCESS.active.remove(gathering)
        if not _PROCESS.active:
            _PROCESS.before.__exit__(None, None, None)


def _note(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
    """Give a warning to who began last of those that gather those of its thread, or show it."""
    here = threading.get_ident()
    with _PROCESS.lock:
        mine = [g.noted for g in _PROCESS.active if g.thread in (None, here)]
        shown = _PROCESS.shown
    if mine:
        mine[-1].append(message)
    else:
        shown(message, category, *where, **more)
