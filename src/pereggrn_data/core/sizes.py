"""Amounts of memory as people write them: a number with its unit."""

from __future__ import annotations

import re
import sys

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
