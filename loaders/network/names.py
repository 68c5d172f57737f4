"""Names of genes, cell types and subnetworks, as callers give them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pereggrn_data.core.errors import UsageError, first_few


def as_names(given: str | Iterable[str], what: str) -> list[str]:
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


def unique_names(given: str | Iterable[str], what: str) -> list[str]:
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
