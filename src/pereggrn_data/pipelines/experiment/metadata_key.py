"""What a key of an experiment's metadata is, and what its values look like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pereggrn_data.core.safe_names import is_safe_file_name


class Nothing(Enum):
    """A key without a default: it has no column where nobody gives it."""

    NOTHING = "nothing"


NOTHING = Nothing.NOTHING


@dataclass(frozen=True, kw_only=True)
class MetadataKey:
    """One key of the metadata.

    Parameters
    ----------
    name
        As it is written.
    doc
        What it means, in a sentence or two.
    takes
        What one value is, in words.
    fits
        Whether a value is one.
    default
        The value where nobody gives it; :data:`NOTHING` if there is none.
    required
        Whether it must be given, here or by the experiment that is referred to.
    varies
        Whether a list of values makes conditions.
    choices
        What returns the values that there are; None where anything that fits goes.
    goes_to
        The option of `split`, `predict` or `score` that a run sets by it, as
        ``"split --seed"``; or where else it applies.
    noted
        Whether it is a column of the table of conditions.
    not_here
        From a value that the original takes to why no condition with it can be run
        here; None if it can.
    """

    name: str
    doc: str
    takes: str
    fits: Callable[[Any], bool]
    default: Any = NOTHING
    required: bool = False
    varies: bool = True
    choices: Callable[[], Iterable[str]] | None = None
    goes_to: str = ""
    noted: bool = True
    not_here: Callable[[Any], str | None] = lambda _value: None


def is_text(value: Any) -> bool:
    """Say whether a value is text, and not empty."""
    return isinstance(value, str) and bool(value)


def is_whole(value: Any) -> bool:
    """Say whether a value is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Say whether a value is a number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_flag(value: Any) -> bool:
    """Say whether a value is true or false."""
    return isinstance(value, bool)


def or_null(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Let null fit, too."""
    return lambda value: value is None or fits(value)


def is_seed(value: Any) -> bool:
    """Say whether a value is a seed, or names the file of a custom split."""
    return (is_whole(value) and value >= 0) or (is_text(value) and is_safe_file_name(value))


def is_timescale(value: Any) -> bool:
    """Say whether a value is numbers of steps: 3, or "1,3,10"."""
    parts = [part.strip() for part in str(value).split(",")]
    is_one = is_whole(value) or isinstance(value, str)
    return is_one and all(p.isascii() and p.isdigit() and 1 <= int(p) <= 10**6 for p in parts)


def is_baseline(value: Any) -> bool:
    """Say whether a value is one or more whole numbers from 0 on."""
    values = value if isinstance(value, list) else [value]
    return all(is_whole(v) and v >= 0 for v in values)


def is_networks(value: Any) -> bool:
    """Say whether a value names networks; what is said of each is checked apart."""
    if isinstance(value, (str, list)):
        names = [value] if isinstance(value, str) else value
        return bool(names) and all(map(is_text, names))
    return isinstance(value, Mapping) and bool(value)


def is_arguments(value: Any) -> bool:
    """Say whether a value is arguments by name, or a list of such."""
    one = [value] if isinstance(value, Mapping) else value
    return isinstance(one, list) and all(isinstance(v, Mapping) for v in one)


def is_names(value: Any) -> bool:
    """Say whether a value is a list of names."""
    return isinstance(value, list) and all(map(is_text, value))
