"""Questions to a network, each answered by one statement in which every value is bound."""

# ruff: noqa: S608 - statements are put together from constants; values are bound

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Literal

from pereggrn_data.core.errors import UnknownNameError, UsageError, first_few, or_list
from pereggrn_data.loaders.network.frames import to_frame
from pereggrn_data.loaders.network.names import as_names
from pereggrn_data.loaders.network.plan import Restricted, Stored
from pereggrn_data.loaders.network.query import NetworkQuery
from pereggrn_data.loaders.network.scope import Filter, weight_limits
from pereggrn_data.loaders.network.sources import source_subnetworks

logger = logging.getLogger(__name__)

Names = str | Iterable[str]
WeightRange = tuple[float | None, float | None]
Form = Literal["pandas", "arrow", "relation"]
FORMS = ("pandas", "arrow", "relation")

ANSWER = "regulator, target, weight, cell_type, subnetwork"
BY_REGULATOR = "regulator, target, cell_type NULLS FIRST, network, subnetwork"
BY_TARGET = "target, regulator, cell_type NULLS FIRST, network, subnetwork"

_KEPT_OPEN: list[Any] = []
"""DuckDB 1.4 closes a relation together with the cursor that made it."""


class NetworkReader(NetworkQuery):
    """The reading half of :class:`pereggrn_data.Network`."""

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

    def match_names(
        self, names: Names, role: Literal["regulator", "target"]
    ) -> dict[str, list[str]]:
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
        known: dict[str, list[str]] = {}
        for gene in self.regulators() if role == "regulator" else self.targets():
            known.setdefault(gene.casefold(), []).append(gene)
        return {name: known.get(name.casefold(), []) for name in as_names(names, role)}

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

        def names(given: Names | None, role: Literal["regulator", "target"]) -> Any:
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
        relation, cursor = self._ask(statement, plan=Restricted(self._plan, wanted))
        if to == "relation":
            _KEPT_OPEN.append(cursor)
            return relation
        table = relation.to_arrow_table()
        if to == "arrow":
            return table
        frame = to_frame(table)
        if changed:
            frame.attrs["names_changed"] = changed
        return frame


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
