"""Questions to the edges of a network, each answered by one statement over its plan."""

# ruff: noqa: S608 - statements are put together from constants; values are bound

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

from pereggrn_data.core.errors import UsageError, first_few, or_list
from pereggrn_data.loaders.files.tables import reading_edges
from pereggrn_data.loaders.network.filters import (
    Filter,
    Names,
    WeightRange,
    as_names,
    check_known,
    spellings,
    unique_names,
    weight_limits,
)
from pereggrn_data.loaders.network.frames import (
    SameForAll,
    dense_degree,
    to_csr,
    to_frame,
    to_lists,
)
from pereggrn_data.loaders.network.plan import (
    LARGEST_WEIGHT,
    Dense,
    EdgePlan,
    Restricted,
    Stored,
    asked,
    connection,
    files_of,
)
from pereggrn_data.loaders.network.sources import source_subnetworks

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from duckdb import DuckDBPyConnection, DuckDBPyRelation
    from scipy.sparse import csr_array

logger = logging.getLogger(__name__)

Form = Literal["pandas", "arrow", "relation"]
"""What edges are returned as."""

FORMS: tuple[Form, ...] = get_args(Form)

Role = Literal["regulator", "target"]
"""On which end of an edge a gene is."""

ANSWER = "regulator, target, weight, cell_type, subnetwork"
BY_REGULATOR = "regulator, target, cell_type NULLS FIRST, network, subnetwork"
BY_TARGET = "target, regulator, cell_type NULLS FIRST, network, subnetwork"

_SUMMARY = """SELECT subnetwork, count(*) AS n_edges,
  count(DISTINCT regulator) AS n_regulators, count(DISTINCT target) AS n_targets,
  count(DISTINCT cell_type) AS n_cell_types, min(weight) AS min_weight, max(weight) AS max_weight
FROM edges GROUP BY subnetwork ORDER BY subnetwork"""

_DEGREE = """, pairs AS (SELECT DISTINCT regulator, target FROM edges),
  ends AS (SELECT regulator AS gene, 1 AS outgoing FROM pairs
           UNION ALL SELECT target, 0 FROM pairs)
SELECT gene, sum(outgoing)::BIGINT AS out_degree, sum(1 - outgoing)::BIGINT AS in_degree
FROM ends GROUP BY gene ORDER BY gene"""


@dataclass(frozen=True)
class Shared:
    """How much two sets share; `jaccard` is None where both are empty."""

    a: int
    b: int
    shared: int
    jaccard: float | None


@dataclass(frozen=True)
class Overlap:
    """How much two networks share: regulator-target pairs, regulators and targets."""

    edges: Shared
    regulators: Shared
    targets: Shared


class EdgeReader:
    """The part of :class:`pereggrn_data.Network` that reads: edges, and what is computed of them.

    Parameters
    ----------
    plan
        Where the edges are, and what becomes of them when they are read.
    name
        What messages call the network.
    """

    def __init__(self, plan: EdgePlan, name: str) -> None:
        self._plan = plan
        self.name = name

    def __reduce__(self) -> tuple[Any, ...]:
        # A connection cannot be sent to another process; the plan can.
        return type(self), (self._plan, self.name)

    # ---- what the network holds

    @cached_property
    def subnetworks(self) -> list[str]:
        """Names of the subnetworks, sorted."""
        if isinstance(self._plan, Stored):
            return source_subnetworks(self._plan.sources)
        return self._column("SELECT DISTINCT subnetwork FROM edges ORDER BY 1")

    @cached_property
    def n_edges(self) -> int:
        """Number of edges: as many as :meth:`edges` has rows."""
        return int(self._column("SELECT count(*) FROM edges")[0])

    def regulators(self) -> list[str]:
        """Return all genes that have a target, sorted."""
        return self._column("SELECT DISTINCT regulator FROM edges ORDER BY 1", raw=True)

    def targets(self) -> list[str]:
        """Return all genes that have a regulator, sorted."""
        return self._column("SELECT DISTINCT target FROM edges ORDER BY 1", raw=True)

    def cell_types(self) -> list[str]:
        """Return all cell types for which edges are stated, sorted."""
        return self._column(
            "SELECT DISTINCT cell_type FROM edges WHERE cell_type IS NOT NULL ORDER BY 1",
            raw=True,
        )

    def match_names(self, names: Names, role: Role) -> dict[str, list[str]]:
        """Find names whatever their case.

        Parameters
        ----------
        names
            Gene or genes.
        role
            Whether they are looked up among regulators or targets.

        Returns
        -------
        dict
            Each name with its spellings in the network; an empty list where there is none.
        """
        known = self.regulators() if role == "regulator" else self.targets()
        return spellings(as_names(names, role), known)

    # ---- edges

    def regulators_of(self, target: Names, *, to: Form = "pandas", match_case: bool = True) -> Any:
        """Return the edges into one or several targets.

        Parameters
        ----------
        target
            Gene or genes, matched exactly. One that is not there has no rows.
        to, match_case
            As for :meth:`edges`.

        Returns
        -------
        DataFrame, pyarrow.Table or duckdb.DuckDBPyRelation
            Columns regulator, target, weight, cell_type, subnetwork, sorted by target.
        """
        wanted, changed = self._filter(match_case, targets=as_names(target, "target"))
        return self._answer(wanted, to, BY_TARGET, changed)

    def targets_of(self, regulator: Names, *, to: Form = "pandas", match_case: bool = True) -> Any:
        """Return the edges out of one or several regulators, as :meth:`regulators_of` does."""
        genes = as_names(regulator, "regulator")
        wanted, changed = self._filter(match_case, regulators=genes)
        return self._answer(wanted, to, BY_REGULATOR, changed)

    def edges(
        self,
        *,
        regulators: Names | None = None,
        targets: Names | None = None,
        weight_range: WeightRange | None = None,
        cell_type: Names | None = None,
        subnetwork: Names | None = None,
        to: Form = "pandas",
        match_case: bool = True,
    ) -> Any:
        """Return the edges that pass all filters.

        Parameters
        ----------
        regulators, targets
            Gene or genes. One that is not there has no rows.
        weight_range
            Lowest and highest weight, both included; None for no limit.
        cell_type
            Only edges stated for these cell types. Edges without a cell type do not match.
        subnetwork
            Only these parts of the network.
        to
            ``"pandas"`` (text as plain objects, a missing cell type as NaN),
            ``"arrow"``, or ``"relation"``: a DuckDB relation, which reads
            nothing before it is used.
        match_case
            Names are matched exactly by default. False also finds other
            spellings in upper and lower case, and reports every name that was
            changed: to the log, and in ``DataFrame.attrs["names_changed"]``.

        Returns
        -------
        DataFrame, pyarrow.Table or duckdb.DuckDBPyRelation
            Columns regulator, target, weight, cell_type, subnetwork, sorted by
            regulator, target, cell type (missing first) and subnetwork.

        Raises
        ------
        UsageError
            If a filter makes no sense.
        UnknownNameError
            If there is no such subnetwork.
        """
        wanted, changed = self._filter(
            match_case,
            regulators=regulators,
            targets=targets,
            weight_range=weight_range,
            cell_type=cell_type,
            subnetwork=subnetwork,
        )
        return self._answer(wanted, to, BY_REGULATOR, changed)

    # ---- what is computed from edges

    def degree(self) -> pd.DataFrame:
        """Count the targets and the regulators of every gene.

        Returns
        -------
        DataFrame
            Columns gene, out_degree (distinct targets) and in_degree (distinct
            regulators), sorted by gene. Self-regulation counts in both.
        """
        if isinstance(self._plan, Dense):
            return dense_degree(self._plan.regulators, self._plan.targets)
        return to_frame(self._table(_DEGREE, raw=True))

    def matrix(self, regulators: Names | None = None, targets: Names | None = None) -> csr_array:
        """Return the weights as a sparse matrix, regulators by targets.

        Parameters
        ----------
        regulators, targets
            Rows and columns, in this order; by default all, sorted. A gene
            that is not there has an empty row or column. None may be repeated.

        Returns
        -------
        scipy.sparse.csr_array
            Shape (regulators, targets). Of several weights of an edge (cell
            types, subnetworks) the largest absolute one; a weight of 0 is
            stored, a missing one is NaN.

        Raises
        ------
        UsageError
            If a gene is named twice, or something is not a name.
        """
        rows = self.regulators() if regulators is None else unique_names(regulators, "regulator")
        columns = self.targets() if targets is None else unique_names(targets, "target")
        wanted, _ = self._filter(regulators=rows, targets=columns)
        table = self._table(
            f"SELECT regulator, target, {LARGEST_WEIGHT} FROM edges GROUP BY regulator, target",
            plan=Restricted(self._plan, wanted),
            raw=True,
        )
        return to_csr(table, rows, columns)

    def regulator_lists(
        self, targets: Names | None = None, *, match_case: bool = True
    ) -> Mapping[str, list[str]]:
        """Return the candidate regulators of many targets, by one query.

        Parameters
        ----------
        targets
            Keys of the result, in this order; by default all targets, sorted.
        match_case
            As for :meth:`edges`; the keys stay as given.

        Returns
        -------
        mapping
            Target to its distinct regulators, sorted; an empty list for an
            unknown target.
        """
        if targets is not None:
            targets = as_names(targets, "target")
        if isinstance(self._plan, Dense) and match_case:
            known = self._plan.targets
            return SameForAll(known if targets is None else targets, known, self._plan.regulators)
        wanted, changed = self._filter(match_case, targets=targets)
        plan = self._plan if targets is None else Restricted(self._plan, wanted)
        table = self._table("SELECT target, regulator FROM edges", plan=plan, raw=True)
        return to_lists(table, targets, changed)

    def summary(self) -> pd.DataFrame:
        """Describe every subnetwork.

        Returns
        -------
        DataFrame
            Columns subnetwork, n_edges, n_regulators, n_targets, n_cell_types,
            min_weight and max_weight; sorted by subnetwork.
        """
        return to_frame(self._table(_SUMMARY))

    def overlap(self, other: EdgeReader) -> Overlap:
        """Compare with another network.

        Edges are compared as regulator-target pairs, whatever their cell type
        and subnetwork.

        Raises
        ------
        UsageError
            If the other one is not a network.
        """
        check_network(other)

        def shared(columns: str) -> Shared:
            statement = f"""SELECT (SELECT count(*) FROM (SELECT DISTINCT {columns} FROM edges)),
                (SELECT count(*) FROM (SELECT DISTINCT {columns} FROM others)),
                (SELECT count(*) FROM
                    (SELECT {columns} FROM edges INTERSECT SELECT {columns} FROM others))"""
            table = self._table(statement, raw=True, others={"others": other._plan})
            a, b, n = (column[0].as_py() for column in table.columns)
            return Shared(a, b, n, n / (a + b - n) if a + b else None)

        return Overlap(shared("regulator, target"), shared("regulator"), shared("target"))

    # ---- how questions are asked

    def _filter(
        self,
        match_case: bool = True,
        *,
        regulators: Names | None = None,
        targets: Names | None = None,
        weight_range: WeightRange | None = None,
        cell_type: Names | None = None,
        subnetwork: Names | None = None,
    ) -> tuple[Filter, dict[str, list[str]]]:
        """Check what is asked for; returns the filter and the names that were changed."""
        changed: dict[str, list[str]] = {}

        def names(given: Names | None, role: Role) -> tuple[str, ...] | None:
            if given is None:
                return None
            wanted = as_names(given, role)
            if match_case:
                return tuple(wanted)
            spelled = self.match_names(wanted, role)
            changed.update({n: s for n, s in spelled.items() if s and s != [n]})
            return tuple(dict.fromkeys(s for found in spelled.values() for s in found))

        if subnetwork is not None:
            subnetwork = as_names(subnetwork, "subnetwork")
            check_known(f"subnetwork of {self.name}", subnetwork, self.subnetworks)
        low, high = weight_limits(weight_range)
        wanted = Filter(
            regulators=names(regulators, "regulator"),
            targets=names(targets, "target"),
            cell_types=None if cell_type is None else tuple(as_names(cell_type, "cell type")),
            subnetworks=None if subnetwork is None else tuple(subnetwork),
            low=low,
            high=high,
        )
        if changed:
            spelled = (f"{name} is {or_list(found)}" for name, found in changed.items())
            logger.warning("Names were matched in another case: %s", first_few(spelled))
        return wanted, changed

    def _answer(self, wanted: Filter, to: Form, order: str, changed: dict[str, list[str]]) -> Any:
        if to not in FORMS:
            raise UsageError(
                f"Edges cannot be returned as {to!r}.", expected=or_list(FORMS), got=repr(to)
            )
        statement = f"SELECT {ANSWER} FROM edges ORDER BY {order}"
        plan = Restricted(self._plan, wanted)
        if to == "relation":
            return self._relation(statement, plan=plan)
        table = self._table(statement, plan=plan)
        if to == "arrow":
            return table
        frame = to_frame(table)
        if changed:
            frame.attrs["names_changed"] = changed
        return frame

    def _relation(self, statement: str, **how: Any) -> DuckDBPyRelation:
        """Prepare a question to ``edges``; the arguments are those of `plan.asked`."""
        plans = {"edges": how.pop("plan", self._plan), **how.pop("others", {})}
        files = files_of(*plans.values())
        return reading_edges(files, lambda: asked(self._connection, statement, plans, **how))

    def _table(self, statement: str, **how: Any) -> pa.Table:
        files = files_of(how.get("plan", self._plan), *how.get("others", {}).values())
        return reading_edges(files, lambda: self._relation(statement, **how).to_arrow_table())

    def _column(self, statement: str, **how: Any) -> list[Any]:
        return list(self._table(statement, **how).column(0).to_pylist())

    @cached_property
    def _connection(self) -> DuckDBPyConnection:
        return connection()


def check_network(value: object) -> None:
    """Check that something is a network.

    Raises
    ------
    UsageError
        If it is not.
    """
    if not isinstance(value, EdgeReader):
        raise UsageError(
            "This is not a network.",
            expected="a Network, as open_network returns it",
            got=f"a value of type {type(value).__name__}",
            fix="open it first: pereggrn_data.open_network(...).",
        )
