"""Which edges a caller asks for: names and limits of the weight, checked before they are used."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from pereggrn_data.core.errors import UnknownNameError, UsageError, first_few

Names = str | Iterable[str]
"""A name, or several."""

WeightRange = tuple[float | None, float | None]
"""Lowest and highest weight, both included; None for no limit."""


@dataclass(frozen=True)
class Filter:
    """Which edges are wanted; None stands for all.

    Raises
    ------
    UsageError
        If a limit of the weights is not a number, or the lower is above the upper one.
    """

    regulators: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    cell_types: tuple[str, ...] | None = None
    subnetworks: tuple[str, ...] | None = None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for limit in (self.low, self.high):
            if limit is not None and math.isnan(limit):
                raise UsageError("A limit of the weights is not a number.", expected="a number")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise UsageError(
                "No weight can be in the range asked for.",
                expected="a lower limit below the upper one",
                got=f"{self.low} to {self.high}",
            )


def weight_limits(given: Any) -> tuple[float | None, float | None]:
    """Return the lowest and the highest weight asked for; None for no limit.

    Raises
    ------
    UsageError
        If these are not two numbers.
    """
    if given is None:
        return None, None
    limits = list(given) if isinstance(given, Sequence | np.ndarray) else []
    numbers = [isinstance(n, Real) and not isinstance(n, bool) for n in limits if n is not None]
    if isinstance(given, str) or len(limits) != len(("low", "high")) or not all(numbers):
        raise UsageError(
            "The range of weights is not two limits.",
            expected="(lowest, highest): numbers, or None for no limit",
            got=repr(given),
        )
    low, high = (None if limit is None else float(limit) for limit in limits)
    return low, high


def as_names(given: Names, what: str) -> list[str]:
    """Return one or several names as a list of distinct ones, in their order.

    Raises
    ------
    UsageError
        If something else than text is among them.
    """
    if isinstance(given, str):
        return [given]
    if not isinstance(given, Iterable):
        raise UsageError(
            f"{given!r} does not name a {what}.",
            expected="a name, or several",
            got=f"a value of type {type(given).__name__}",
        )
    names = list(given)
    for name in names:
        if not isinstance(name, str):
            raise UsageError(
                f"The {what} {name!r} is not text.",
                expected="names",
                got=f"a value of type {type(name).__name__}",
            )
    return list(dict.fromkeys(names))


def unique_names(given: Names, what: str) -> list[str]:
    """Return names of rows or columns: as :func:`as_names`, but none may be repeated.

    Raises
    ------
    UsageError
        If one is, or something else than text is among them.
    """
    given = [given] if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
    names = as_names(given, what)
    if len(names) < len(given):
        counts = Counter(given)
        raise UsageError(
            f"A {what} is named more than once.",
            expected="distinct names, because each has one row or column",
            got=first_few(name for name, n in counts.items() if n > 1),
        )
    return names


def check_known(kind: str, names: Sequence[str], known: Iterable[str]) -> None:
    """Check names against those that exist.

    Raises
    ------
    UnknownNameError
        For the first that does not.
    """
    known = list(known)
    for name in names:
        if name not in known:
            raise UnknownNameError(kind, name, known)


def spellings(names: Sequence[str], known: Iterable[str]) -> dict[str, list[str]]:
    """Return each name with those known that equal it whatever their case."""
    found: dict[str, list[str]] = {}
    for name in known:
        found.setdefault(name.casefold(), []).append(name)
    return {name: found.get(name.casefold(), []) for name in names}
