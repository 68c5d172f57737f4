"""Which edges are wanted, and how names and paths reach DuckDB without becoming SQL.

Names are registered as tables, paths are bound to variables; the statements
themselves are made of constants only.
"""

# ruff: noqa: S608 - statements are put together from constants; values are bound

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import pyarrow as pa

from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.format import CELL_TYPE
from pereggrn_data.loaders.network.sources import REGULATOR, TARGET, EdgeFile


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


@dataclass
class Keys:
    """Names of registered tables to which regulators, targets and cell types are restricted.

    Unlike limits of the weight, these may be applied before duplicates are
    merged, which keeps look-ups in large networks small.
    """

    regulator: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    cell_type: tuple[str, ...] = ()

    def swapped(self) -> Keys:
        """Return the same for edges that are turned round."""
        return Keys(self.target, self.regulator, self.cell_type)

    def where(self, **columns: str) -> str:
        """Return the condition on the given expressions."""
        parts = [
            f"{columns.get(column, column)} IN (SELECT name FROM {table})"
            for column in (REGULATOR, TARGET, CELL_TYPE)
            for table in getattr(self, column)
        ]
        return " WHERE " + " AND ".join(parts) if parts else ""


@dataclass
class Scope:
    """Collects what a statement refers to: tables to register and variables to bind."""

    tables: dict[str, pa.Table] = field(default_factory=dict)
    variables: dict[str, list[str]] = field(default_factory=dict)

    def add_table(self, table: pa.Table) -> str:
        """Register a table; returns its name."""
        name = f"table_{len(self.tables)}"
        self.tables[name] = table
        return name

    def add_names(self, names: Iterable[str]) -> str:
        """Register names as a table with one column ``name``."""
        try:
            return self.add_table(pa.table({"name": pa.array(names, pa.string())}))
        except UnicodeEncodeError as error:
            raise UsageError(
                "A name is not valid Unicode text.", got=ascii(error.object), expected="text"
            ) from error

    def add_paths(self, files: Sequence[EdgeFile]) -> str:
        """Bind paths, literally: DuckDB would take ``*``, ``?`` and ``[`` for patterns."""
        name = f"paths_{len(self.variables)}"
        self.variables[name] = [
            "".join(f"[{c}]" if c in "*?[" else c for c in str(file.path)) for file in files
        ]
        return name

    def keys(self, wanted: Filter, outer: Keys) -> Keys:
        """Add a filter's names to those that hold already."""

        def more(names: tuple[str, ...] | None, tables: tuple[str, ...]) -> tuple[str, ...]:
            return tables if names is None else (*tables, self.add_names(names))

        return Keys(
            more(wanted.regulators, outer.regulator),
            more(wanted.targets, outer.target),
            more(wanted.cell_types, outer.cell_type),
        )


def run_in(connection: Any, scope: Scope, statement: str) -> Any:
    """Register and bind what a statement refers to; returns a lazy DuckDB relation."""
    for name, table in scope.tables.items():
        connection.register(name, table)
    for name, values in scope.variables.items():
        connection.execute(f"SET VARIABLE {name} = ?", [values])
    return connection.sql(statement)
