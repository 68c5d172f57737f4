"""How an experiment is run: all options in one object, for the command line and Python."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.options import check_options, documented, normalise, option
from pereggrn_data.core.resources import Resources, memory_option

MOST_NUMBERS = 100_000


class Redo(StrEnum):
    """What is done although it may be there."""

    MISSING = "missing"
    SCORES = "scores"
    MODELS = "models"


def parse_numbers(text: str) -> tuple[int, ...]:
    """Read numbers of conditions.

    Raises
    ------
    UsageError
        If they are none.

    Examples
    --------
    >>> parse_numbers("3,5,8-10")
    (3, 5, 8, 9, 10)
    """
    found: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,9})(?:\s*-\s*([0-9]{1,9}))?\s*", part, re.A)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not 0 <= last - first < MOST_NUMBERS:
            raise UsageError(
                "The numbers of conditions cannot be read.",
                expected="for example 3,5 or 0-9",
                got=repr(text),
            )
        found |= dict.fromkeys(range(first, last + 1))
    return tuple(found)


@documented
@dataclass(frozen=True)
class RunOptions:
    """How an experiment is run.

    Parameters
    ----------
    {options}

    Raises
    ------
    UnknownNameError
        For a value that is not among the choices.
    UsageError
        For a number out of range.
    """

    jobs: int = option(
        1, minimum=1, noun="number of processes", help="How many conditions are done at once."
    )
    only: Sequence[int] | None = option(
        None,
        kind=str,
        parse=parse_numbers,
        help="Only these conditions, by their numbers in the table, for example 3,5 or 0-9.",
    )
    redo: str = option(
        str(Redo.MISSING),
        choices=Redo,
        noun="part to do again",
        help="What is done again: models (everything), scores (of kept forecasts), or missing "
        "(what is not finished, those that failed among it).",
    )
    dry_run: bool = option(False, help="Say what would be done, and do nothing.")
    limit_genes: int | None = option(
        None,
        minimum=1,
        noun="number of genes",
        help="Model at most so many genes (but all perturbed ones), to try an experiment out.",
    )
    threads: int = option(
        1,
        minimum=1,
        noun="number of threads",
        help="Threads of linear algebra in each process. Equal numbers give equal results, to the "
        "last bit, whatever {jobs} is.",
    )
    memory: str | int = memory_option("each process may use")
    blocks: int | None = option(
        None,
        minimum=1,
        noun="number of blocks",
        help="On a cluster, divide the genes of each condition whose method fits gene by gene "
        "into so many tasks. By default, as many as it takes to give every worker something "
        "to do. Results are the same.",
    )
    as_original: bool = option(
        False,
        help="Do as the original where we do otherwise on purpose: observations that perturb a "
        "gene with others train it, stratified splits hold out controls, and targeted genes are "
        "forecast as models have them, and scored as they are forecast.",
    )

    def __post_init__(self) -> None:
        normalise(self)
        check_options(self)
        Resources(self.memory)
        if self.only is not None:
            given = self.only if isinstance(self.only, (list, tuple, range)) else (self.only,)
            numbers = [number for part in given for number in parse_numbers(str(part))]
            object.__setattr__(self, "only", tuple(dict.fromkeys(numbers)))

    def asked_for(self, n: int) -> tuple[int, ...]:
        """Return the numbers of the conditions that are asked for, of `n` that there are.

        Raises
        ------
        UsageError
            If one of them is not there.
        """
        if self.only is None:
            return tuple(range(n))
        absent = [number for number in self.only if not 0 <= number < n]
        if absent:
            raise UsageError(
                f"There is no condition {absent[0]}.", expected=f"numbers from 0 to {n - 1}"
            )
        return tuple(self.only)
