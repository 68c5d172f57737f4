"""Open a file or store of AnnData whose matrices stay where they are.

Tables and notes are read, matrices are not: they are gone through in blocks of rows when
they are asked for. It has the parts of an AnnData object by the same names, as far as
splits, scores and calibrations look at them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import pandas as pd
from scipy import sparse

from pereggrn_data.core.errors import InvalidDataError, PereggrnError
from pereggrn_data.core.foreign_reading import FORMATS, ForeignFormat, let_through, reading
from pereggrn_data.core.format import MODEL_UNS, ORACLE_UNS
from pereggrn_data.core.reports import Severity
from pereggrn_data.core.resources import resources
from pereggrn_data.core.rows.row_blocks import StoredMatrix
from pereggrn_data.loaders.files.any_file import hdf5_problem
from pereggrn_data.loaders.files.datasets.blocks import bytes_of, whole_matrix
from pereggrn_data.loaders.files.datasets.object_matrices import rows_of
from pereggrn_data.loaders.files.datasets.stored_rows import stored_rows
from pereggrn_data.loaders.files.hdf5 import H5adReader, open_h5ad
from pereggrn_data.loaders.files.tables import plain_frame, refuse_levels
from pereggrn_data.validators import READ_FAILURES

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class StoredRaw:
    """The counts of a dataset.

    Parameters
    ----------
    X
        (observations, genes of raw) counts, not read yet.
    var
        A row per gene of raw.
    """

    X: Any
    var: pd.DataFrame

    @property
    def var_names(self) -> pd.Index[Any]:
        """Names of the genes."""
        return self.var.index


@dataclass(frozen=True)
class StoredData:
    """A dataset whose matrices are not in memory.

    Parameters
    ----------
    obs, var
        Tables of observations and genes.
    uns
        Notes on the whole.
    X
        (observations, genes) expression, read in blocks of rows.
    raw
        Counts, read in blocks of rows; None where there are none.
    x_in_file
        Opens X where it was read from; None where it is in memory only.
    """

    obs: pd.DataFrame
    var: pd.DataFrame
    uns: dict[str, Any]
    X: Any
    raw: StoredRaw | None = None
    x_in_file: Callable[[], StoredMatrix] | None = field(default=None, compare=False, repr=False)

    @property
    def obs_names(self) -> pd.Index[Any]:
        """Names of the observations."""
        return self.obs.index

    @property
    def var_names(self) -> pd.Index[Any]:
        """Names of the genes."""
        return self.var.index

    @property
    def n_obs(self) -> int:
        """Number of observations."""
        return len(self.obs)

    @property
    def n_vars(self) -> int:
        """Number of genes."""
        return len(self.var)

    @property
    def shape(self) -> tuple[int, int]:
        """Observations and genes."""
        return self.n_obs, self.n_vars

    def let_go(self) -> StoredData:
        """Return the same without X in memory, which is read from its file if it is needed."""
        return self if self.x_in_file is None else replace(self, X=self.x_in_file())

    def to_memory(self) -> AnnData:
        """Read all of it."""
        import anndata

        adata = anndata.AnnData(X=_read(self.X), obs=self.obs, var=self.var, uns=self.uns)
        if self.raw is not None:
            adata.raw = anndata.AnnData(X=_read(self.raw.X), obs=self.obs[[]], var=self.raw.var)
        return adata

    def __repr__(self) -> str:
        return f"StoredData of {self.n_obs} observations x {self.n_vars} genes, read in blocks"


def _read(matrix: Any) -> Any:
    return matrix.to_memory() if isinstance(matrix, StoredMatrix) else matrix


def is_large(path: Path, *slots: str) -> bool:
    """Say whether matrices of an ``.h5ad`` file should not be held in memory as a whole.

    Parameters
    ----------
    path
        The file.
    slots
        ``"X"``, ``"raw"``.

    Raises
    ------
    MissingFileError, InvalidDataError
        If it cannot be opened.
    """
    total = 0
    with open_h5ad(path) as reader:
        for slot in slots:
            try:
                element = reader.matrix(slot)
                total += 0 if element is None else bytes_of(element)
            except READ_FAILURES as error:
                let_through(error)
                continue  # whoever reads it says what is wrong with it
    return total > resources().bytes_to_hold


def open_stored(
    path: Path, *, with_raw: bool = True, values_only: bool = False, hold: bool = False
) -> tuple[StoredData, tuple[str, ...]]:
    """Open an ``.h5ad`` file whose matrices stay on disk.

    Parameters
    ----------
    path
        The file.
    with_raw
        Whether counts are wanted.
    values_only
        Whether only what scores and models look at is wanted: of the notes those with rules
        and what predictions say of themselves.
    hold
        Whether X is read into memory if it is small.

    Returns
    -------
    StoredData, tuple of str
        And what of the file was left.

    Raises
    ------
    MissingFileError
        If there is no such file, or it is locked.
    InvalidDataError
        If it cannot be read.
    """
    with open_h5ad(path) as reader:
        obs, var = (reader.frame(slot, every=True)[0] for slot in ("obs", "var"))
        uns = reader.uns(every=not values_only, also=(MODEL_UNS, ORACLE_UNS))
        raw_var = reader.raw_var() if with_raw and reader.matrix("raw") is not None else None
        element = reader.matrix("X")
        hold = hold and not is_large(path, "X")
        x, in_file = None, partial(rows_in_h5ad, path, "X")
        if element is not None:
            x = reader.needed(
                *("X", "X", None),
                lambda: _in_rows(whole_matrix(element)) if hold else in_file(),
            )
        raw_x = None
        if raw_var is not None:
            raw_x = reader.needed("raw", "raw", None, lambda: rows_in_h5ad(path, "raw"))
        refuse_unread(reader)
        left = tuple(str(f) for f in reader.problems)
    check_shape(x, (len(obs), len(var)), f"X of {path}")
    raw = None if raw_var is None else StoredRaw(raw_x, raw_var)
    if raw_var is not None:
        check_shape(raw_x, (len(obs), len(raw_var)), f"raw.X of {path}")
    return StoredData(obs, var, uns, x, raw, in_file if hold else None), left


def _in_rows(matrix: Any) -> Any:
    """Return a matrix as it is, one by columns (CSC) by rows."""
    return matrix.tocsr() if sparse.issparse(matrix) else matrix


def check_shape(matrix: Any, wanted: tuple[int, int], what: str) -> None:
    """Check that a matrix, if there is one, has a row per observation and a column per gene.

    Raises
    ------
    InvalidDataError
        If it has not.
    """
    if matrix is not None and tuple(matrix.shape) != wanted:
        raise InvalidDataError(
            f"{what} does not fit its observations and genes.",
            expected=f"{wanted[0]} x {wanted[1]} values",
            got=" x ".join(map(str, matrix.shape)),
            fix="write the file again.",
        )


def refuse_unread(reader: H5adReader) -> None:
    """Check that everything that is needed could be read.

    Raises
    ------
    InvalidDataError
        If not.
    """
    if reader.unread:
        unreadable = [f for f in reader.problems if f.severity is Severity.ERROR]
        raise InvalidDataError(
            f"{reader.path} cannot be read.",
            details=[line for finding in unreadable for line in finding.to_lines()],
            fix="write the file again with anndata.",
        )


def is_anndata(given: object) -> TypeGuard[AnnData]:
    """Say whether something is an AnnData object; where there is one, anndata is imported."""
    anndata = sys.modules.get("anndata")
    return anndata is not None and isinstance(given, anndata.AnnData)


def refuse_without_x(adata: AnnData) -> None:
    """Check that a backed object has values: anndata cannot even say of it that X is None.

    Raises
    ------
    InvalidDataError
        If its file has none.
    """
    if not adata.isbacked:
        return
    if not adata.file.is_open:  # as anndata does when it is asked for X
        adata.file.open()
    if "X" not in adata.file:
        raise InvalidDataError(
            f"X of {adata.filename} is missing.",
            expected="a matrix",
            got="an AnnData object that is backed by a file without X",
            fix="store natural-log expression in X.",
        )


def stored_parts(adata: AnnData) -> StoredData | None:
    """Return the parts of an AnnData object that is not in memory and too large for it.

    Parameters
    ----------
    adata
        One that is backed by a file, or holds a Dask array.

    Returns
    -------
    StoredData or None
        None for what is in memory or fits into it, or is a view of a backed object.
    """
    refuse_without_x(adata)
    if adata.is_view or adata.X is None:
        return None
    try:
        x = rows_of(adata.X)
    except ValueError:
        return None  # whoever reads it says what is wrong with it
    if not isinstance(x, StoredMatrix) or x.nbytes <= resources().bytes_to_hold:
        return None
    for slot in ("obs", "var"):
        refuse_levels(getattr(adata, slot), f"{slot} of the AnnData object")
    raw = None
    if adata.raw is not None:
        raw = StoredRaw(rows_of(adata.raw.X), plain_frame(adata.raw.var))
    return StoredData(plain_frame(adata.obs), plain_frame(adata.var), dict(adata.uns), x, raw)


def rows_in_h5ad(path: Path, slot: str) -> StoredMatrix:
    """Return the rows of X or of the counts of an ``.h5ad`` file, which are not read yet.

    Parameters
    ----------
    path
        The file; it is opened anew for every reading.
    slot
        ``"X"`` or ``"raw"``.

    Raises
    ------
    ValueError
        If the element is no matrix.
    """

    @contextmanager
    def opened() -> Iterator[Any]:
        with open_h5ad(path) as reader:
            yield reader.matrix(slot)

    return explained_rows(stored_rows(opened), path, slot)


def explained_rows(
    rows: StoredMatrix, path: Path, slot: str, form: ForeignFormat = FORMATS["h5ad"]
) -> StoredMatrix:
    """Let what goes wrong while rows are read become our error."""
    source = rows.source

    @contextmanager
    def guarded() -> Iterator[Callable[[int, int], Any]]:
        with ExitStack() as opened:
            with _explaining(path, slot, form):
                read = opened.enter_context(source.reading())
            yield _explained(read, path, slot, form)

    return StoredMatrix(replace(source, reading=guarded))


def _explained(
    read: Callable[[int, int], Any], path: Path, slot: str, form: ForeignFormat
) -> Callable[..., Any]:
    def wrapped(start: int, stop: int) -> Any:
        with _explaining(path, slot, form):
            return read(start, stop)

    return wrapped


def _explaining(path: Path, slot: str, form: ForeignFormat) -> AbstractContextManager[None]:
    """Guard a reading of some rows."""

    def problem(error: Exception) -> PereggrnError:
        found = hdf5_problem(path, error)
        if isinstance(found, InvalidDataError):
            found.what = f"{slot} of {path} cannot be read: {type(error).__name__}: {error}"
            found.expected = form.expected
        return found

    return reading(path, form, problem=problem)
