"""Gene regulatory networks whose edges stay on disk."""

# ruff: noqa: S608 - statements are put together from constants; values are bound

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pereggrn_data.core.errors import PereggrnError, UsageError
from pereggrn_data.core.printable import notebook_card
from pereggrn_data.loaders.network.edge_reader import (
    ANSWER,
    BY_REGULATOR,
    EdgeReader,
    check_network,
)
from pereggrn_data.loaders.network.filters import Names, WeightRange, as_names, check_known
from pereggrn_data.loaders.network.frames import write_batches
from pereggrn_data.loaders.network.plan import (
    Common,
    Dense,
    EdgePlan,
    Merged,
    Restricted,
    Stored,
    Symmetrised,
)
from pereggrn_data.loaders.network.sources import (
    EdgeSource,
    edge_file,
    edge_paths,
    edge_table,
    network_name,
    random_edges,
)

if TYPE_CHECKING:
    from os import PathLike

    import pandas as pd
    import pyarrow as pa

BATCH = 100_000
"""Rows that are held at a time while a file is written."""


class Network(EdgeReader):
    """A gene regulatory network: a set of edges regulator → target with weights.

    Within one subnetwork, an edge (a regulator, a target and a cell type,
    which may be missing) counts once, wherever and however often it is
    stored: the weight kept is the largest absolute one, and of +w and -w it
    is +w. Subnetworks keep their own edges until :meth:`unique` or
    :meth:`union` merges them. Edges are read when they are asked for.

    Make one by :func:`pereggrn_data.open_network` or the class methods.
    """

    def __repr__(self) -> str:
        plan = self._plan
        kind = f"{len(plan.sources)} stored parts" if isinstance(plan, Stored) else "computed"
        return f"<Network {self.name}: {kind}>"

    def _repr_html_(self) -> str:
        if not isinstance(self._plan, Stored):
            return notebook_card(f"Network {self.name}", lines=["computed when it is asked for"])
        try:
            parts = self.summary()
        except PereggrnError as error:
            # A notebook shows what it can: the file may have gone since.
            return notebook_card(f"Network {self.name}", lines=[str(error)])
        return notebook_card(
            f"Network {self.name}",
            headings=list(parts.columns),
            rows=parts.astype(object).to_numpy().tolist(),
        )

    # ---- where networks come from

    @classmethod
    def from_parquet(
        cls,
        path: str | PathLike[str],
        *,
        name: str | None = None,
        subnetworks: Names | None = None,
    ) -> Network:
        """Open a parquet file, or a folder in which every parquet file is a subnetwork.

        Raises
        ------
        MissingFileError
            If there is no such file, or no parquet file in the folder.
        InvalidDataError
            If a file does not hold edges.
        UnknownNameError
            If there is no such subnetwork.
        """
        files = {file.stem: file for file in edge_paths(Path(path))}
        name = name or network_name(Path(path))
        return cls.from_files(files, name=name, subnetworks=subnetworks)

    @classmethod
    def from_files(
        cls, files: Mapping[str, Path], *, name: str, subnetworks: Names | None = None
    ) -> Network:
        """Open the parquet files of a network by subnetwork; see :meth:`from_parquet`."""
        if subnetworks is not None:
            wanted = as_names(subnetworks, "subnetwork")
            check_known(f"subnetwork of {name}", wanted, files)
            files = {part: file for part, file in files.items() if part in wanted}
        sources = tuple(edge_file(file, name, part) for part, file in sorted(files.items()))
        return cls(Stored(sources), name)

    @classmethod
    def from_table(
        cls, table: pd.DataFrame | pa.Table, *, name: str = "table", subnetwork: str = "all"
    ) -> Network:
        """Take edges from a DataFrame or an Arrow table.

        Parameters
        ----------
        table
            Columns regulator, target and, optionally, weight, cell_type and subnetwork.
        name, subnetwork
            What the edges belong to, where no column says it.

        Raises
        ------
        UsageError
            If it is neither.
        InvalidDataError
            If a column is missing or of the wrong type; without rows, any type will do.
        """
        return cls(Stored((edge_table(table, name, subnetwork),)), name)

    @classmethod
    def empty(cls) -> Network:
        """Return the network without edges: every gene is left without regulators."""
        return cls(Stored(()), "empty")

    @classmethod
    def dense(cls, regulators: Names, targets: Names) -> Network:
        """Return the network in which all regulators regulate all targets.

        Its edges are not stored anywhere; 1,600 regulators and 20,000 targets
        take no more memory than their names.
        """
        rows, columns = as_names(regulators, "regulator"), as_names(targets, "target")
        return cls(Dense(tuple(sorted(rows)), tuple(sorted(columns))), "dense")

    @classmethod
    def random(cls, regulators: Names, targets: Names, *, density: float, seed: int) -> Network:
        """Return a network in which every possible edge is present by chance.

        Parameters
        ----------
        regulators, targets
            The genes; their order does not matter.
        density
            Probability of each edge, from 0 to 1.
        seed
            The same seed and the same genes give the same network.

        Raises
        ------
        UsageError
            If the density is not a probability, or the seed not a whole number from 0.
        """
        rows, columns = as_names(regulators, "regulator"), as_names(targets, "target")
        table = random_edges(sorted(rows), sorted(columns), density, seed)
        return cls.from_table(table, name="random")

    @property
    def sources(self) -> tuple[EdgeSource, ...]:
        """The files and tables of a network that is stored as it is.

        Raises
        ------
        UsageError
            If the network is computed (a union, for example).
        """
        if not isinstance(self._plan, Stored):
            raise UsageError(
                f"The network {self.name} is computed, not stored.",
                fix="write it with to_parquet() and open that file.",
            )
        return self._plan.sources

    def odd_edges(self) -> dict[str, int]:
        """Count the stored edges that ``validate`` calls wrong, by what is wrong with them.

        Returns
        -------
        dict
            ``"without a weight"`` (as long as the network has weights), ``"with an infinite
            weight"``, ``"without a regulator"``, ``"with an empty regulator"``, and the same of
            targets and cell types: how many edges, where there are any. All edges are read.
        """
        found: Counter[str] = Counter()
        for source in self._plan.sources:
            found.update(source.odd_edges())
        return dict(found)

    @property
    def is_stored_somewhere(self) -> bool:
        """Whether any file or table is behind it; the empty and the dense network have none."""
        return bool(self._plan.sources)

    # ---- networks from networks

    def subset(
        self,
        *,
        regulators: Names | None = None,
        targets: Names | None = None,
        weight_range: WeightRange | None = None,
        cell_type: Names | None = None,
        subnetwork: Names | None = None,
        match_case: bool = True,
    ) -> Network:
        """Return the network of those edges that :meth:`edges` returns with the same filters."""
        wanted, _ = self._filter(
            match_case,
            regulators=regulators,
            targets=targets,
            weight_range=weight_range,
            cell_type=cell_type,
            subnetwork=subnetwork,
        )
        return Network(Restricted(self._plan, wanted), self.name)

    def union(self, *others: Network) -> Network:
        """Return the network of all edges of this one and others.

        An identical regulator, target and cell type counts once. The weight
        kept is the largest absolute one; of +w and -w it is +w. The edge's
        subnetwork is the one in which that weight is stored; of several, the
        first by network and name.

        Raises
        ------
        UsageError
            If something else than networks is given.
        """
        for other in others:
            check_network(other)
        plans = tuple(network._plan for network in (self, *others))
        return Network(Merged(plans), " + ".join(n.name for n in (self, *others)))

    def unique(self) -> Network:
        """Merge the subnetworks by the rule of :meth:`union`."""
        return Network(Merged((self._plan,)), self.name)

    def intersect(self, other: Network) -> Network:
        """Return the network of the edges that both have, with weights as in :meth:`union`."""
        check_network(other)
        return Network(Common(self._plan, other._plan), f"{self.name} & {other.name}")

    def symmetrise(self) -> Network:
        """Return the network with every edge in both directions, with the same weight.

        Where both directions are there already, the largest absolute weight is kept for both.
        """
        return Network(Symmetrised(self._plan), self.name)

    # ---- files

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
        if out.suffix.lower() == ".parquet":
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
        statement = f"SELECT {ANSWER} FROM edges ORDER BY {BY_REGULATOR}"
        return self._written(statement, Path(path), self._plan)

    def _write(self, path: Path, *, only: str | None = None, label: bool = False) -> Path:
        wanted, _ = self._filter(subnetwork=only)
        plan = Restricted(self._plan, wanted)
        typed = "SELECT count(cell_type) > 0 FROM edges"
        columns = ["regulator", "target", "weight"]
        columns += ["cell_type"] if self._column(typed, plan=plan, raw=True)[0] else []
        columns += ["subnetwork"] if label else []
        statement = f"SELECT {', '.join(columns)} FROM edges ORDER BY {BY_REGULATOR}"
        self._written(statement, path, plan)
        return path

    def _written(self, statement: str, path: Path, plan: EdgePlan) -> int:
        return write_batches(self._relation(statement, plan=plan).to_arrow_reader(BATCH), path)
