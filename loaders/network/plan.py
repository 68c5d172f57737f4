"""What a network consists of, the SQL that reads it, and the connection that runs it.

A plan is a small tree: stored edges, restrictions, unions. It becomes one
statement, and restrictions to certain genes go down to where the edges are
read. Statements are made of constants only: names are registered as tables and
paths are bound to variables, so that neither becomes SQL.
"""

# ruff: noqa: S608, D102 - statements are put together from constants; values are bound

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.format import CELL_TYPE, UNWEIGHTED
from pereggrn_data.loaders.network.filters import Filter
from pereggrn_data.loaders.network.sources import (
    REGULATOR,
    SUBNETWORK,
    TARGET,
    WEIGHT,
    EdgeFile,
    EdgeSource,
    EdgeTable,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

COLUMNS = "regulator, target, weight, cell_type, network, subnetwork"

LARGEST_WEIGHT = (
    "CASE WHEN max(weight) >= -min(weight) THEN max(weight) ELSE min(weight) END AS weight"
)
"""The largest absolute weight; of +w and -w, +w. Missing weights count only where all are."""

FIRST_LABEL = """arg_min({'network': network, 'subnetwork': subnetwork},
    {'size': coalesce(-abs(weight), 1), 'sign': coalesce(-weight, 1),
     'network': network, 'subnetwork': subnetwork}) AS label"""
"""Where the kept weight is stored; of several, the first by name."""


def unique_sql(edges: str) -> str:
    """Return the SQL of the rule of union over a relation of edges.

    An edge is a regulator, a target and a cell type (a missing one is a cell
    type of its own), and counts once. The weight kept is the largest absolute
    one; the network and subnetwork are those in which it is stored.
    """
    return f"""(SELECT regulator, target, weight, cell_type,
    label.network AS network, label.subnetwork AS subnetwork
  FROM (SELECT regulator, target, cell_type, {LARGEST_WEIGHT}, {FIRST_LABEL}
        FROM {edges} GROUP BY regulator, target, cell_type))"""


MEMORY_MB = 512
"""Memory of questions to networks, in MiB: what needs more is spilled to the disk."""

MOST_THREADS = 4
"""Each thread of DuckDB needs some 125 MiB before anything can be spilled."""

_MOST_FOLDERS = 10
"""Names that are tried for the folder of what is spilled: others may have taken them."""

# ---- what a statement refers to


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


# ---- the tree


class EdgePlan:
    """A node of the tree. `sql` returns a relation with :data:`COLUMNS`, in brackets."""

    def sql(self, scope: Scope, keys: Keys) -> str:
        """Return the edges as a set: within a subnetwork, every edge once."""
        raise NotImplementedError

    def raw_sql(self, scope: Scope, keys: Keys) -> str:
        """Return the edges with possible duplicates, for a caller that merges them."""
        return self.sql(scope, keys)

    @property
    def below(self) -> tuple[EdgePlan, ...]:
        """The nodes that this one is computed of."""
        return ()

    @property
    def sources(self) -> tuple[EdgeSource, ...]:
        """The files and tables that edges come from, whatever is computed of them."""
        return tuple(source for plan in self.below for source in plan.sources)


@dataclass(frozen=True)
class Stored(EdgePlan):
    """Edges in files and tables."""

    given: tuple[EdgeSource, ...]

    @property
    def sources(self) -> tuple[EdgeSource, ...]:
        return self.given

    def sql(self, scope: Scope, keys: Keys) -> str:
        return f"""(SELECT regulator, target, {LARGEST_WEIGHT}, cell_type, network, subnetwork
  FROM {self.raw_sql(scope, keys)} GROUP BY regulator, target, cell_type, network, subnetwork)"""

    def raw_sql(self, scope: Scope, keys: Keys) -> str:
        # Files with the same columns are read together; a file without weights
        # must not be mixed up with one in which some weights are missing.
        groups: dict[frozenset[str], list[EdgeFile]] = {}
        parts = []
        for source in self.sources:
            if isinstance(source, EdgeFile):
                groups.setdefault(source.columns, []).append(source)
            else:
                parts.append(_select(_of_table(scope, source), source.columns, keys))
        for columns, files in groups.items():
            parts.append(_select(_of_files(scope, files), columns, keys))
        return "(" + " UNION ALL ".join(parts or [NO_EDGES]) + ")"

    def with_subnetworks(self, names: Sequence[str]) -> Stored:
        """Leave out the files of other subnetworks."""
        kept = (s for s in self.sources if SUBNETWORK in s.columns or s.subnetwork in names)
        return Stored(tuple(kept))


NO_EDGES = (
    "SELECT ''::VARCHAR AS regulator, ''::VARCHAR AS target, 0::DOUBLE AS weight, "
    "NULL::VARCHAR AS cell_type, ''::VARCHAR AS network, ''::VARCHAR AS subnetwork WHERE false"
)


def _of_files(scope: Scope, files: Sequence[EdgeFile]) -> str:
    labels = scope.add_table(
        pa.table(
            {
                "label_path": [str(f.path) for f in files],
                "label_network": [f.network for f in files],
                "label_subnetwork": [f.subnetwork for f in files],
            }
        )
    )
    return (
        f"read_parquet(getvariable('{scope.add_paths(files)}'), union_by_name = true, "
        f"filename = 'label_filename', hive_partitioning = false) "
        f"JOIN {labels} AS labels ON label_filename = labels.label_path"
    )


def _of_table(scope: Scope, source: EdgeTable) -> str:
    labels = pa.table({"label_network": [source.network], "label_subnetwork": [source.subnetwork]})
    return f"{scope.add_table(source.table)} CROSS JOIN {scope.add_table(labels)} AS labels"


def _select(origin: str, columns: frozenset[str], keys: Keys) -> str:
    """Give stored edges all columns in the right types."""
    # NaN means the same as a missing weight, and would win every comparison in DuckDB.
    weight = "nullif(CAST(weight AS DOUBLE), 'nan'::DOUBLE)"
    cell_type = f"CAST({CELL_TYPE} AS VARCHAR)" if CELL_TYPE in columns else "NULL::VARCHAR"
    subnetwork = "labels.label_subnetwork"
    if SUBNETWORK in columns:
        subnetwork = f"coalesce(CAST({SUBNETWORK} AS VARCHAR), {subnetwork})"
    return f"""SELECT CAST(regulator AS VARCHAR) AS regulator, CAST(target AS VARCHAR) AS target,
    {weight if WEIGHT in columns else f"{UNWEIGHTED}::DOUBLE"} AS weight,
    {cell_type} AS cell_type, labels.label_network AS network, {subnetwork} AS subnetwork
  FROM {origin}{keys.where(cell_type=cell_type)}"""


@dataclass(frozen=True)
class Dense(EdgePlan):
    """Every regulator for every target, spelled out only when it is read."""

    regulators: tuple[str, ...]
    targets: tuple[str, ...]

    def sql(self, scope: Scope, keys: Keys) -> str:
        r, t = scope.add_names(self.regulators), scope.add_names(self.targets)
        where = keys.where(regulator="r.name", target="t.name", cell_type="NULL::VARCHAR")
        return (
            f"(SELECT r.name AS regulator, t.name AS target, {UNWEIGHTED}::DOUBLE AS weight, "
            "NULL::VARCHAR AS cell_type, 'dense' AS network, 'all' AS subnetwork "
            f"FROM {r} r CROSS JOIN {t} t{where})"
        )


@dataclass(frozen=True)
class Restricted(EdgePlan):
    """Those edges of a network that pass a filter."""

    origin: EdgePlan
    filter: Filter

    @property
    def below(self) -> tuple[EdgePlan, ...]:
        return (self.origin,)

    def sql(self, scope: Scope, keys: Keys) -> str:
        wanted = self.filter
        origin = self.origin
        if wanted.subnetworks is not None and isinstance(origin, Stored):
            origin = origin.with_subnetworks(wanted.subnetworks)
        inner = origin.sql(scope, scope.keys(wanted, keys))
        conditions = []
        if wanted.subnetworks is not None:
            names = scope.add_names(wanted.subnetworks)
            conditions.append(f"subnetwork IN (SELECT name FROM {names})")
        for sign, limit in ((">=", wanted.low), ("<=", wanted.high)):
            if limit is not None:
                bound = scope.add_table(pa.table({"bound": pa.array([limit], pa.float64())}))
                conditions.append(f"weight {sign} (SELECT bound FROM {bound})")
        if not conditions:
            return inner
        return f"(SELECT {COLUMNS} FROM {inner} WHERE {' AND '.join(conditions)})"

    def raw_sql(self, scope: Scope, keys: Keys) -> str:
        wanted = self.filter
        if wanted.subnetworks is None and wanted.low is None and wanted.high is None:
            return self.origin.raw_sql(scope, scope.keys(wanted, keys))
        return self.sql(scope, keys)


@dataclass(frozen=True)
class Merged(EdgePlan):
    """The union of networks, by the rule of :func:`unique_sql`."""

    origins: tuple[EdgePlan, ...]

    @property
    def below(self) -> tuple[EdgePlan, ...]:
        return self.origins

    def sql(self, scope: Scope, keys: Keys) -> str:
        parts = [f"SELECT {COLUMNS} FROM {o.raw_sql(scope, keys)}" for o in self.origins]
        return unique_sql("(" + " UNION ALL ".join(parts) + ")")


@dataclass(frozen=True)
class Common(EdgePlan):
    """The edges that two networks share, with weights by the rule of union."""

    left: EdgePlan
    right: EdgePlan

    @property
    def below(self) -> tuple[EdgePlan, ...]:
        return (self.left, self.right)

    def sql(self, scope: Scope, keys: Keys) -> str:
        left, right = self.left.raw_sql(scope, keys), self.right.raw_sql(scope, keys)
        both = (
            f"(SELECT {COLUMNS}, 0 AS side FROM {left} UNION ALL SELECT {COLUMNS}, 1 FROM {right})"
        )
        return f"""(SELECT regulator, target, weight, cell_type,
    label.network AS network, label.subnetwork AS subnetwork
  FROM (SELECT regulator, target, cell_type, {LARGEST_WEIGHT}, {FIRST_LABEL}
        FROM {both} GROUP BY regulator, target, cell_type HAVING min(side) <> max(side)))"""


@dataclass(frozen=True)
class Symmetrised(EdgePlan):
    """Every edge in both directions."""

    origin: EdgePlan

    @property
    def below(self) -> tuple[EdgePlan, ...]:
        return (self.origin,)

    def sql(self, scope: Scope, keys: Keys) -> str:
        as_is = self.origin.raw_sql(scope, keys)
        turned = self.origin.raw_sql(scope, keys.swapped())
        return f"""(SELECT regulator, target, {LARGEST_WEIGHT}, cell_type, network, subnetwork
  FROM (SELECT {COLUMNS} FROM {as_is} UNION ALL
        SELECT target, regulator, weight, cell_type, network, subnetwork FROM {turned})
  GROUP BY regulator, target, cell_type, network, subnetwork)"""


# ---- questions


def files_of(*plans: EdgePlan) -> list[Path]:
    """Return the files that edges of plans come from."""
    return sorted({s.path for plan in plans for s in plan.sources if isinstance(s, EdgeFile)})


def asked(
    database: DuckDBPyConnection,
    statement: str,
    plans: Mapping[str, EdgePlan],
    *,
    raw: bool = False,
) -> DuckDBPyRelation:
    """Prepare a question to the edges of plans.

    Parameters
    ----------
    database
        As :func:`connection` returns it.
    statement
        SQL of ours, without any value in it.
    plans
        The relations of the statement by name.
    raw
        Whether duplicates may remain in them.

    Returns
    -------
    duckdb.DuckDBPyRelation
        It reads nothing before it is used. It holds its own cursor and the
        tables registered there (since DuckDB 1.5), which go when it does.
    """
    scope = Scope()
    relations = [
        f"{name} AS {plan.raw_sql(scope, Keys()) if raw else plan.sql(scope, Keys())}"
        for name, plan in plans.items()
    ]
    cursor = database.cursor()
    for name, table in scope.tables.items():
        cursor.register(name, table)
    for name, values in scope.variables.items():
        cursor.execute(f"SET VARIABLE {name} = ?", [values])
    return cursor.sql(f"WITH {', '.join(relations)} {statement}")


def _spill_folder() -> str:
    """Return where large sorts of a connection may spill; DuckDB makes it only then.

    And removes it when the connection is closed. Nothing is made for one that needs none, since
    processes that are ended from outside remove nothing; what they spilled is removed here. It
    is not the working directory; and what it is in is private, because the folder for temporary
    files is everybody's. Empty where there is no such place, so that small questions are
    answered there, too.
    """
    for number in range(_MOST_FOLDERS):
        above = Path(tempfile.gettempdir(), f"pereggrn-{os.getuid()}{f'-{number}' * bool(number)}")
        try:
            above.mkdir(mode=0o700, exist_ok=True)
            found = above.lstat()
            # Whatever it has of the folder that it is in, such as its group (setgid).
            is_private = stat.S_ISDIR(found.st_mode) and found.st_mode & 0o777 == stat.S_IRWXU
            if is_private and found.st_uid == os.getuid():
                _remove_leftovers(above)
                return str(above / f"{_spilled_by(os.getpid())}{secrets.token_hex(8)}")
        except FileExistsError:  # a file, as little ours as a folder that others can look into
            continue
        except OSError:
            return ""
    return ""


def _spilled_by(process: int | str) -> str:
    """Return how the name begins of what a process spills, among those that are numbered with it.

    That are those of this machine since it was started, and of this container.
    """
    numbered = [os.uname().nodename]
    with suppress(OSError):  # elsewhere than on Linux
        numbered.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        numbered.append(str(Path("/proc/self/ns/pid").readlink()))
    return f"networks-{sha256(' '.join(numbered).encode()).hexdigest()[:16]}-{process}-"


def _remove_leftovers(above: Path) -> None:
    """Remove what processes spilled that were ended from outside.

    Those of other containers and machines, whose numbers say nothing here, are left where they
    are: folders for temporary files may be shared.
    """
    for path in above.glob(_spilled_by("*") + "*"):
        with suppress(ValueError, OSError):
            try:
                os.kill(int(path.name.split("-")[2]), 0)
            except ProcessLookupError:
                shutil.rmtree(path, ignore_errors=True)


def connection() -> DuckDBPyConnection:
    """Connect to a database in memory that reads files and what is registered only."""
    import duckdb

    opened = duckdb.connect(":memory:", config={"temp_directory": _spill_folder()})
    opened.execute(f"SET memory_limit = '{MEMORY_MB}MiB'")
    opened.execute(f"SET threads = {min(MOST_THREADS, os.cpu_count() or 1)}")
    opened.execute("SET parquet_metadata_cache = true")
    opened.execute("SET python_enable_replacements = false")
    return opened
