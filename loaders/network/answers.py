"""Answers about a network other than its edges: lists, matrices, counts, files."""

# ruff: noqa: S608 - statements are put together from constants; values are bound

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.network.frames import (
    SameForAll,
    dense_degree,
    to_csr,
    to_frame,
    to_lists,
    write_batches,
)
from pereggrn_data.loaders.network.names import as_names, unique_names
from pereggrn_data.loaders.network.plan import LARGEST_WEIGHT, Dense, Restricted
from pereggrn_data.loaders.network.query import NetworkQuery, check_network
from pereggrn_data.loaders.network.reader import ANSWER, BY_REGULATOR, Names, NetworkReader

if TYPE_CHECKING:
    from os import PathLike

    import pandas as pd
    from scipy.sparse import csr_array


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


class NetworkAnswers(NetworkReader):
    """The half of :class:`pereggrn_data.Network` that computes from edges."""

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
        found = sorted(set(table["target"].unique().to_pylist()))
        lists = to_lists(table, found if targets is None else [*targets, *found])
        if targets is None:
            return lists
        return {
            target: sorted(
                {r for spelled in changed.get(target, [target]) for r in lists[spelled]}
            )
            if target in changed
            else lists[target]
            for target in targets
        }

    def summary(self) -> pd.DataFrame:
        """Describe every subnetwork.

        Returns
        -------
        DataFrame
            Columns subnetwork, n_edges, n_regulators, n_targets, n_cell_types,
            min_weight and max_weight; sorted by subnetwork.
        """
        return to_frame(self._table(_SUMMARY))

    def overlap(self, other: NetworkQuery) -> Overlap:
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
            a, b, n = (
                self._table(
                    f"""SELECT (SELECT count(*) FROM (SELECT DISTINCT {columns} FROM edges)),
                (SELECT count(*) FROM (SELECT DISTINCT {columns} FROM others)),
                (SELECT count(*) FROM
                    (SELECT {columns} FROM edges INTERSECT SELECT {columns} FROM others))""",
                    raw=True,
                    others={"others": other._plan},
                )
                .to_pylist()[0]
                .values()
            )
            return Shared(a, b, n, n / (a + b - n) if a + b else None)

        return Overlap(shared("regulator, target"), shared("regulator"), shared("target"))

    def to_parquet(self, path: str | PathLike[str]) -> Path:
        """Write the edges in the uniform format, sorted.

        Parameters
        ----------
        path
            A file ``….parquet``, or a folder for one file per subnetwork.
            A file of several subnetworks gets a column ``subnetwork``, by
            which :func:`pereggrn_data.open_network` tells them apart again.
            The column ``cell_type`` is there if any edge has one.

        Returns
        -------
        Path
            What was written.

        Raises
        ------
        UsageError
            If a subnetwork's name cannot be the name of a file.
        """
        out = Path(path)
        if out.suffix == ".parquet":
            return self._write(out, label=len(self.subnetworks) > 1)
        for name in self.subnetworks:
            if name in ("", ".", "..") or Path(name).name != name:
                raise UsageError(
                    f"The subnetwork {name!r} cannot be the name of a file.",
                    fix="write one file: give a path that ends with .parquet.",
                )
        for name in self.subnetworks:
            self._write(out / f"{name}.parquet", only=name)
        return out

    def write_table(self, path: str | PathLike[str]) -> int:
        """Write what :meth:`edges` returns to a ``.parquet``, ``.csv`` or ``.tsv`` file.

        Returns
        -------
        int
            Number of edges.

        Raises
        ------
        UsageError
            If the suffix is another one.
        """
        batches, _cursor = self._batches(f"SELECT {ANSWER} FROM edges ORDER BY {BY_REGULATOR}")
        return write_batches(batches, Path(path))

    def _write(self, path: Path, *, only: str | None = None, label: bool = False) -> Path:
        wanted, _ = self._filter(subnetwork=only)
        plan = Restricted(self._plan, wanted)
        typed = "SELECT count(cell_type) > 0 FROM edges"
        columns = ["regulator", "target", "weight"]
        columns += ["cell_type"] if self._column(typed, plan=plan, raw=True)[0] else []
        columns += ["subnetwork"] if label else []
        batches, _cursor = self._batches(
            f"SELECT {', '.join(columns)} FROM edges ORDER BY {BY_REGULATOR}", plan=plan
        )
        write_batches(batches, path)
        return path


_SUMMARY = """SELECT subnetwork, count(*) AS n_edges,
  count(DISTINCT regulator) AS n_regulators, count(DISTINCT target) AS n_targets,
  count(DISTINCT cell_type) AS n_cell_types, min(weight) AS min_weight, max(weight) AS max_weight
FROM edges GROUP BY subnetwork ORDER BY subnetwork"""

_DEGREE = """, pairs AS (SELECT DISTINCT regulator, target FROM edges),
  ends AS (SELECT regulator AS gene, 1 AS outgoing FROM pairs
           UNION ALL SELECT target, 0 FROM pairs)
SELECT gene, sum(outgoing)::BIGINT AS out_degree, sum(1 - outgoing)::BIGINT AS in_degree
FROM ends GROUP BY gene ORDER BY gene"""
