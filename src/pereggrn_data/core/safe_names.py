"""Names that come from outside: those that name files here, and those that repeat."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable

LONGEST_NAME = 240
"""Bytes; common file systems allow 255, and we append to names."""


def is_safe_file_name(name: str) -> bool:
    """Whether `name` can be the name of one file in a folder of ours.

    Spaces, ``=`` and letters of any script are fine; separators, control
    characters, leading dots and names that are too long are not.

    Examples
    --------
    >>> is_safe_file_name("simulation_TrueNetwork=gtex_rna_S=1.h5ad")
    True
    >>> is_safe_file_name("../../.bashrc")
    False
    """
    if not name or name.startswith(".") or name != name.strip():
        return False
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        return False
    return not any(c in "/\\:" or unicodedata.category(c).startswith("C") for c in name)


def repeated_names(names: Iterable[str]) -> list[str]:
    """Return the names that occur more than once, sorted; in one pass, however many there are.

    Examples
    --------
    >>> repeated_names(["b", "a", "b"])
    ['b']
    """
    return sorted(name for name, n in Counter(names).items() if n > 1)
