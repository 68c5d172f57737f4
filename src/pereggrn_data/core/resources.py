"""How much memory and how many threads a command may use: one option, with one unit.

Whoever reads or computes in blocks asks :func:`resources`; whoever was told of limits says
so by :func:`using`, for the time of a call.
"""

from __future__ import annotations

import inspect
import os
import re
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.options import check_options, documented, normalise, option, options_of
from pereggrn_data.core.sizes import parse_memory

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

DEFAULT_MEMORY = "2GiB"
"""Of every command that has a limit."""

LEAST_MEMORY = 64 << 20
"""Bytes: Python and its libraries need more than this by themselves."""

_BLOCKS = 64
_SHARE_READ = 8


def memory_option(may: str = "may be used") -> Any:
    """Return the option that says how much memory there is for whom."""
    return option(
        DEFAULT_MEMORY,
        kind=str,
        help=f"How much memory {may}, with a unit, such as 4GB or 512MiB: larger files are "
        "read in blocks (in Python also a number of bytes).",
    )


@documented
@dataclass(frozen=True)
class Resources:
    """What a command may use.

    Parameters
    ----------
    {options}

    Raises
    ------
    UsageError
        If the memory is no size or too little, or the threads are no number.
    """

    memory: str | int = memory_option()
    threads: int | None = option(
        None,
        minimum=1,
        noun="number of threads",
        shown="one per processor",
        help="How many threads compute.",
    )

    def __post_init__(self) -> None:
        normalise(self)
        check_options(self)
        if self.memory_bytes < LEAST_MEMORY:
            raise UsageError(
                "Nothing can be read with so little memory.",
                expected=f"{LEAST_MEMORY >> 20}MiB or more",
                got=f"{self.memory}",
            )

    @property
    def memory_bytes(self) -> int:
        """The limit in bytes."""
        return self.memory if isinstance(self.memory, int) else parse_memory(self.memory)

    @property
    def workers(self) -> int:
        """Number of threads."""
        return self.threads or os.cpu_count() or 1

    @property
    def values_in_a_block(self) -> int:
        """How many numbers a block holds: 32 MiB of float32 per 4 GiB, and at most that."""
        return min(max(self.memory_bytes // _BLOCKS // 8, 1 << 15), 1 << 23)

    @property
    def bytes_to_hold(self) -> int:
        """How large a matrix may be that is held in memory as a whole."""
        return self.memory_bytes // _SHARE_READ


_DEFAULT = Resources()
_CURRENT: ContextVar[Resources | None] = ContextVar("pereggrn_resources", default=None)


def resources() -> Resources:
    """Return the limits that hold here."""
    return _CURRENT.get() or _DEFAULT


@contextmanager
def using(limits: Resources | None) -> Iterator[Resources]:
    """Let limits hold for a while; None leaves them as they are.

    Parameters
    ----------
    limits
        Of memory and threads.
    """
    token = _CURRENT.set(limits or resources())
    try:
        yield resources()
    finally:
        _CURRENT.reset(token)


def beside(function: Callable[[], T]) -> Callable[[], T]:
    """Start a function in a thread of its own, under the limits that hold here.

    Parameters
    ----------
    function
        What it raises is raised where its result is asked for.

    Returns
    -------
    callable
        Waits for the result, and returns it.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    # Nobody waits for it at the end of a command that has failed.
    thread = threading.Thread(target=copy_context().run, args=(work,), daemon=True)
    thread.start()

    def wait() -> T:
        thread.join()
        for error in errors:
            raise error
        return results[0]

    return wait


def share_out(work: Callable[[T], object], parts: Sequence[T], threads: int | None = None) -> None:
    """Do some work on each part, on several threads where there are several parts.

    Parameters
    ----------
    work
        What it raises is raised here.
    parts
        Of about the same size, each worth the start of a thread.
    threads
        By default as many as may compute.
    """
    workers = min(threads or resources().workers, len(parts))
    if workers < 2:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(workers) as pool:
        # list() so that an error in a thread is raised here.
        list(pool.map(work, parts))


def limited(function: F) -> F:
    """Let a function take `memory`, and heed its `threads`, for the time of a call.

    Its docstring gets the description of `memory` in place of ``{memory}``.
    """
    signature = inspect.signature(function)
    has_threads = "threads" in signature.parameters

    @wraps(function)
    def within_limits(*args: Any, memory: str | int | None = None, **given: Any) -> Any:
        threads = given.get("threads") if has_threads else None
        if memory is None and threads is None:
            return function(*args, **given)
        before = resources()
        with using(Resources(before.memory if memory is None else memory,
                             before.threads if threads is None else threads)):  # fmt: skip
            return function(*args, **given)

    added = inspect.Parameter(
        "memory", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="str | int | None"
    )
    own = list(signature.parameters.values())
    at = next((i for i, p in enumerate(own) if p.kind is p.VAR_KEYWORD), len(own))
    within_limits.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*own[:at], added, *own[at:]]
    )
    if within_limits.__doc__:
        about = "\n".join(textwrap.wrap(options_of(Resources)["memory"].text({}), 80))
        within_limits.__doc__ = re.sub(
            r"^( *)\{memory\}",
            lambda place: textwrap.indent(about, place[1]),
            within_limits.__doc__,
            flags=re.MULTILINE,
        )
    return cast("F", within_limits)
