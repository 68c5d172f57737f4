"""Amounts of memory: as people write them, and as the machine has them."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

from pereggrn_data.core.errors import UsageError

UNITS = {
    "B": 1,
    **{f"{letter}B": 1000**n for n, letter in enumerate("KMGT", start=1)},
    **{f"{letter}iB": 1024**n for n, letter in enumerate("KMGT", start=1)},
}
"""Bytes in each unit; their case does not matter, and the B may be left out."""

SURELY_GIGABYTES, SURELY_MEBIBYTES = 64, 1024
"""A bare number below the first is taken for GB; from the second on, for MiB."""

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)\s*")
_BY_SPELLING = {
    spelling: factor
    for unit, factor in UNITS.items()
    for spelling in {unit.lower(), unit.lower().rstrip("b")} - {""}
}


def parse_memory(text: str | float) -> int:
    """Read an amount of memory, and return bytes.

    Parameters
    ----------
    text
        For example ``4GB`` or ``512MiB``. A bare number is understood where only one
        unit makes sense: gigabytes below 64, mebibytes from 1024 on.

    Raises
    ------
    UsageError
        If it is not an amount, or its unit cannot be told.

    Examples
    --------
    >>> parse_memory("4GB"), parse_memory("2GiB"), parse_memory("16"), parse_memory("2048")
    (4000000000, 2147483648, 16000000000, 2147483648)
    """
    found = _SIZE.fullmatch(str(text))
    unit = found.group(2).lower() if found else ""
    if found is None or (unit and unit not in _BY_SPELLING):
        raise _no_memory(text, "a number and a unit, for example 4GB or 512MiB")
    number = float(found.group(1))
    if not unit and SURELY_GIGABYTES <= number < SURELY_MEBIBYTES:
        raise _no_memory(text, f"a unit: {text}GB or {text}MiB")
    bare = UNITS["GB"] if number < SURELY_GIGABYTES else UNITS["MiB"]
    amount = number * _BY_SPELLING.get(unit, bare)
    if not 1 <= amount < sys.maxsize:
        raise _no_memory(text, "more than nothing, and less than there can be")
    return int(amount)


def _no_memory(text: object, expected: str) -> UsageError:
    return UsageError("The memory limit is not a size.", expected=expected, got=repr(str(text)))


_NO_LIMIT = 1 << 62
"""What a control group without a limit says, or more."""


def free_memory() -> int | None:
    """Return the bytes that this process may still take; None where that is not known.

    The least of what the machine has free, and of what control groups (containers) and limits
    of the process leave.
    """
    found: list[int] = []
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    for most, used in _GROUPS:
        with suppress(OSError, ValueError):
            limit = int(Path(most).read_text("ascii"))
            if limit < _NO_LIMIT:
                found.append(max(limit - int(Path(used).read_text("ascii")), 0))
    with suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
            found.append(max(limit - pages * resource.getpagesize(), 0))
    return min(found, default=None)


_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)
"""Of both versions of control groups: the most, and what is used."""

SMALL = 64 << 20
"""Bytes for which nobody asks how much memory is free."""


def require_memory(n_bytes: int, what: str) -> None:
    """Check that something fits into memory before any of it is allocated.

    Sizes in a file are claims: a file of a kilobyte can say that it holds a terabyte, and a
    system that promises more memory than it has would only notice when it is too late.

    Parameters
    ----------
    n_bytes
        Bytes that it needs at least, as it says itself.
    what
        What needs them, for the message: "X of test.h5ad".

    Raises
    ------
    UsageError
        If it does not fit.
    """
    if n_bytes <= SMALL:
        return
    free = free_memory()
    if free is not None and n_bytes > free:
        raise UsageError(
            f"{what} needs more memory than there is.",
            expected=f"at most {free / 1e9:.1f} GB, which are free",
            got=f"{n_bytes / 1e9:,.1f} GB",
            fix="use a machine with more memory, or fewer observations or genes; if the file "
            "is small, it is damaged or made to do harm.",
        )
