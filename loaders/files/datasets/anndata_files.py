"""Open and write dataset files (AnnData), with one kind of string whatever wrote them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.core.arrays import without_mask
from pereggrn_data.core.errors import InvalidDataError, PereggrnError
from pereggrn_data.core.foreign_reading import let_through
from pereggrn_data.core.format import (
    CELL_TYPE,
    CLUSTER_LABEL,
    MATCHED_CONTROL,
    REQUIRED_OBS,
    TEST_FILE,
    TIMEPOINT,
    TRAIN_FILE,
)
from pereggrn_data.core.rows.row_blocks import StoredMatrix, blocks_in_order
from pereggrn_data.loaders.files.any_file import (
    hdf5_problem,
    is_zarr_folder,
    sha256_of_file,
    written_in_one_step,
)
from pereggrn_data.loaders.files.datasets.blocks import whole_matrix
from pereggrn_data.loaders.files.datasets.object_matrices import rows_of
from pereggrn_data.loaders.files.datasets.stored_data import (
    StoredData,
    is_large,
    open_stored,
    refuse_unread,
    refuse_without_x,
)
from pereggrn_data.loaders.files.datasets.stored_rows import write_rows
from pereggrn_data.loaders.files.datasets.stripes import computable_rows
from pereggrn_data.loaders.files.datasets.zarr_stores import (
    is_large_store,
    open_stored_zarr,
    sha256_of_store,
)
from pereggrn_data.loaders.files.hdf5 import (
    MAPPINGS,
    H5adReader,
    described,
    open_h5ad,
    writing_hdf5,
)
from pereggrn_data.loaders.files.tables import plain_frame, refuse_levels

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class Dataset:
    """A perturbation dataset that has been read.

    Parameters
    ----------
    name
        Short name, for example ``papalexi``.
    path
        Where it was read from, as the user gave it; None for generated data.
    sha256
        Of the file's bytes; of the content, for generated data.
    adata
        Observations by genes, natural-log expression in ``X``; that of a file that is too
        large for the memory is read in blocks.
    local_to
        Folder of the local collection, where the name is a published one's too.
    left
        What is in the file, is not needed, and could not be read.
    """

    name: str
    path: str | None
    sha256: str
    adata: AnnData | StoredData
    local_to: str | None = None
    left: tuple[str, ...] = ()

    @property
    def shown_as(self) -> str:
        """The name in scores and signatures: a local dataset is not taken for a published one."""
        return f"{self.name} (local: {self.local_to})" if self.local_to else self.name

    def __repr__(self) -> str:
        n, g = self.adata.shape
        return f"Dataset {self.shown_as}: {n} observations x {g} genes, sha256 {self.sha256[:12]}"


def content_sha256(adata: AnnData | StoredData) -> str:
    """Return a hash of what a dataset says, in hex, equal on every machine.

    It covers the names of observations and genes, the labels of the uniform
    format in ``obs``, and ``X`` rounded to 6 decimals; not the file's bytes,
    the type of its numbers, nor ``raw`` and ``uns``.

    Parameters
    ----------
    adata
        Observations by genes, dense or sparse, in memory or not; finite, and below 1e12.
    """
    labels = [
        [column, *map(_label_text, adata.obs[column])]
        for column in (*REQUIRED_OBS, CELL_TYPE, TIMEPOINT, CLUSTER_LABEL, MATCHED_CONTROL)
        if column in adata.obs
    ]
    text = json.dumps([list(map(str, adata.obs_names)), list(map(str, adata.var_names)), labels])
    found = hashlib.sha256(text.encode())
    for block in blocks_in_order(adata.X):
        # Whole millionths: free of byte order, of -0.0, and of float32 against float64.
        found.update(np.rint(block.dense().astype(np.float64) * 1e6).astype("<i8").tobytes())
    return found.hexdigest()


def _label_text(value: Any) -> str:
    """Write a label alike whether it was read as a number or as text."""
    try:
        return repr(round(float(value), 6))
    except (TypeError, ValueError):
        return str(value)


def dataset_name(path: Path) -> str:
    """Name a dataset after its file; ``test.h5ad`` and ``train.h5ad`` after their folder.

    Examples
    --------
    >>> dataset_name(Path("perturbations/norman/test.h5ad"))
    'norman'
    """
    if path.name in (TEST_FILE, TRAIN_FILE):
        folder = path.resolve().parent.name if path.parent == Path() else path.parent.name
        return folder or path.stem
    return path.stem


def read_h5ad(path: Path) -> AnnData:
    """Read an ``.h5ad`` file into memory, with plain strings.

    What is not needed and cannot be read is left; :func:`read_dataset` says what.

    Raises
    ------
    MissingFileError
        If there is no such file, or it is locked.
    InvalidDataError
        If it cannot be read: not HDF5, cut short, or not AnnData.
    """
    return _read_with_notes(path)[0]


def _read_with_notes(path: Path) -> tuple[AnnData, tuple[str, ...]]:
    """Read a file, and say what of it was left."""
    with open_h5ad(path) as reader:
        adata: AnnData = _explaining_failures(path, lambda: _assembled(reader))
        left = tuple(str(f) for f in reader.problems)
    for name, matrix in (("X", adata.X), ("raw.X", None if adata.raw is None else adata.raw.X)):
        _check_sparse(matrix, f"{name} of {path}")
    return adata, left


def _assembled(reader: H5adReader) -> AnnData:
    """Make an AnnData object of everything in a file that can be read."""
    import anndata

    obs, var = (reader.frame(slot, every=True)[0] for slot in ("obs", "var"))
    uns = reader.uns(every=True)
    x = _matrix(reader, "X")
    raw_x, raw_names = _matrix(reader, "raw"), None
    if raw_x is not None:
        raw_names = reader.raw_names()
    refuse_unread(reader)
    adata = anndata.AnnData(X=x, obs=obs, var=var, uns=uns)
    for slot in MAPPINGS:
        for key, value in reader.mapping(slot, every=True).items():
            try:
                _check_sparse(value, f"{slot}[{key!r}]")
                getattr(adata, slot)[key] = value
            except Exception as error:  # anndata refuses what does not fit in many ways
                let_through(error)
                reader.leave(slot, key, described(error))
    raw_var = reader.raw_var() if raw_names is not None else None
    if raw_var is not None:
        adata.raw = anndata.AnnData(X=raw_x, obs=obs[[]], var=raw_var)
    return adata


def _matrix(reader: H5adReader, slot: str) -> Any:
    element = reader.matrix(slot)
    if element is None:
        return None
    return reader.needed(slot, slot, None, lambda: whole_matrix(element))


def _check_sparse(matrix: Any, what: str) -> None:
    """Check that a sparse matrix can be worked with: SciPy itself would read anywhere."""
    if not hasattr(matrix, "check_format"):
        return
    try:
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise InvalidDataError(
            f"{what} is not a valid sparse matrix.",
            expected="indices within the matrix, and pointers in order",
            got=str(error),
            fix="write the file again.",
        ) from error


def sha256_of_data(path: Path) -> str:
    """Return the sha256 of a file's bytes, or of all files of a zarr store, in hex."""
    return sha256_of_store(path) if is_zarr_folder(path) else sha256_of_file(path)


def read_dataset(
    path: Path,
    *,
    given_as: str | None = None,
    sha256: str | None = None,
    values_only: bool = False,
) -> Dataset:
    """Read a dataset file and hash it; a large one stays on disk and is read in blocks.

    Parameters
    ----------
    path
        The file.
    given_as
        The path as the user wrote it, kept for messages and predictions files.
    sha256
        Its hash, where that has just been computed.
    values_only
        Whether only what scores and models look at is wanted: tables and X, in memory if it is
        small. Counts stay on disk, and other elements are left.
    """
    adata: Any
    if is_zarr_folder(path):
        adata, left = open_stored_zarr(path, hold=values_only)
        if not values_only and not is_large_store(path, "X", "raw/X"):
            adata = adata.to_memory()
    elif values_only or is_large(path, "X", "raw"):
        adata, left = open_stored(path, values_only=values_only, hold=values_only)
    else:
        adata, left = _read_with_notes(path)
    return Dataset(
        name=dataset_name(path),
        path=given_as or str(path),
        sha256=sha256 or sha256_of_data(path),
        adata=adata,
        left=left,
    )


def write_h5ad(adata: AnnData | StoredData, path: Path) -> None:
    """Write an ``.h5ad`` file that older anndata can read, in one step.

    The file appears under its name only when it is complete; `adata` stays as it is. Stored
    matrices are copied block by block, in the layout that they have.

    Raises
    ------
    InvalidDataError
        If it holds what such a file cannot, such as a column of durations.
    UsageError
        If the file cannot be written.
    """
    if isinstance(adata, StoredData):
        _write_stored(adata, path)
        return
    with written_in_one_step(path) as temporary:
        _write_elements(temporary, with_plain_strings(_of_same_arrays(adata)))


def _write_elements(path: Path, adata: AnnData) -> None:
    """Write a file as ``AnnData.write_h5ad`` does, by way of our own handle on it."""
    from anndata.io import write_elem

    adata.strings_to_categoricals()
    if adata.raw is not None:
        adata.strings_to_categoricals(adata.raw.var)
    with writing_hdf5(path) as file:
        try:
            write_elem(file, "/", adata, dataset_kwargs={"compression": "gzip"})
        except (OSError, RuntimeError):
            raise  # of the disk, which is said by whoever gives the file its name
        except Exception as error:  # anndata, h5py and pandas raise nearly every type
            let_through(error)
            raise _unwritable(error, path.name) from error
        for name in ("X", "raw"):
            if getattr(adata, name) is None:
                file.pop(name, None)  # older anndata cannot read what stands in its place


_KEY = re.compile(r"while writing key '(.*)' of .* to (/.*)")
"""In anndata's notes to what was raised: where in the file."""


def _unwritable(error: Exception, name: str) -> InvalidDataError:
    """Return the error of an object that holds what a file cannot."""
    notes = map(str, getattr(error, "__notes__", ()))
    found = next((m for note in notes if (m := _KEY.search(note))), None)
    where = "something" if found is None else f"{found[2].rstrip('/')}/{found[1]}"
    return InvalidDataError(
        f"{name} cannot be written: {where} cannot be stored in an .h5ad file.",
        expected="columns of numbers, text, categories or truth values, each of one kind",
        got=f"{type(error).__name__}: {error}".splitlines()[0],
        fix="convert it, for example by .astype(str), or remove it.",
    )


def _write_stored(data: StoredData, path: Path) -> None:
    import anndata

    tables = anndata.AnnData(obs=data.obs, var=data.var, uns=data.uns)
    if data.raw is not None:
        # Its table of genes; its values come after.
        nothing = sparse.csr_matrix((data.n_obs, len(data.raw.var)), dtype=np.float32)
        tables.raw = anndata.AnnData(X=nothing, obs=data.obs[[]], var=data.raw.var)
    with written_in_one_step(path) as temporary:
        _write_elements(temporary, with_plain_strings(_of_same_arrays(tables)))
        with writing_hdf5(temporary, "a") as file:
            write_rows(file, "X", data.X)
            if data.raw is not None:
                write_rows(file["raw"], "X", data.raw.X)


def _of_same_arrays(adata: AnnData, plain: Callable[[Any], Any] = lambda x: x) -> AnnData:
    """Return another object around the same arrays: writing changes tables of what it writes.

    With `plain`, around what that makes of X; sparse arrays are such as can be computed with.
    """
    import anndata

    slots = ("obsm", "varm", "layers", "obsp", "varp", "uns")
    # From anndata 0.13 on, X is among the layers, by the name None.
    parts = {
        s: {k: computable_rows(v) for k, v in getattr(adata, s).items() if k is not None}
        for s in slots
    }
    made = anndata.AnnData(X=plain(adata.X), obs=adata.obs, var=adata.var, **parts)
    if adata.raw is not None:
        raw: Any = adata.raw
        x = computable_rows(raw.X)
        made.raw = anndata.AnnData(X=x, obs=adata.obs[[]], var=raw.var, varm=dict(raw.varm))
    return made


def write_unfilled_h5ad(
    path: Path, *, obs: pd.DataFrame, var: pd.DataFrame, uns: dict[str, Any]
) -> None:
    """Write an ``.h5ad`` file whose X is NaN throughout, without holding X in memory.

    HDF5 stores nothing for chunks that were never written and reads their fill
    value, so the file stays small whatever its shape.
    """
    import anndata

    shape = (len(obs), len(var))
    with written_in_one_step(path) as temporary:
        _write_elements(temporary, with_plain_strings(anndata.AnnData(obs=obs, var=var, uns=uns)))
        with writing_hdf5(temporary, "a") as file:
            file.pop("X", None)
            x = file.create_dataset(
                "X", shape, np.float64, chunks=True, compression="gzip", fillvalue=np.nan
            )
            x.attrs["encoding-type"], x.attrs["encoding-version"] = "array", "0.2.0"


def own_copy(given: AnnData) -> AnnData:
    """Copy an AnnData object of the user's: plain strings, and NaN where X is masked.

    Sparse numbers are of a type that SciPy computes with.

    One that is backed by a file, or whose X is a Dask array, is read into memory.

    Raises
    ------
    InvalidDataError
        If observations or genes have names of several levels, or a file that it is backed by
        has no X.
    """
    for slot in ("obs", "var"):
        refuse_levels(getattr(given, slot), f"{slot} of the AnnData object")
    if given.isbacked:
        refuse_without_x(given)
        return own_copy(given.to_memory())
    # A view forgets the mask of what it looks at, and slices it as SciPy does, or cannot.
    whole = _of_same_arrays(given._adata_ref if given.is_view else given, _plain_x)
    adata = (whole[given._oidx, given._vidx] if given.is_view else whole).copy()
    if isinstance(rows := rows_of(adata.X), StoredMatrix):
        adata.X = rows.to_memory()
    return with_plain_strings(adata)


def _plain_x(x: Any) -> Any:
    """Return X with NaN where it is masked, and of a type to compute with where it is sparse."""
    return without_mask(x) if isinstance(x, np.ma.MaskedArray) else computable_rows(x)


def with_plain_strings(adata: AnnData) -> AnnData:
    """Give every string column, category and index the same plain type (object of str).

    Of ``obs``, ``var`` and ``raw.var``.

    pandas 2 and 3, and anndata 0.12 and 0.13, each read text as another type;
    nullable ones cannot be read by older versions once written.
    """
    import anndata

    adata.obs = plain_frame(adata.obs)
    adata.var = plain_frame(adata.var)
    if adata.raw is not None:
        # Its table cannot be replaced, so it is put together anew, around the same matrix.
        raw: Any = adata.raw
        adata.raw = anndata.AnnData(
            X=raw.X, obs=adata.obs[[]], var=plain_frame(raw.var), varm=dict(raw.varm)
        )
    return adata


def _explaining_failures(path: Path, read: Callable[[], Any]) -> Any:
    """Run `read` and turn what HDF5 and anndata raise into our error."""
    try:
        return read()
    except PereggrnError:
        raise
    except Exception as error:  # HDF5 and anndata raise nearly every type
        problem = hdf5_problem(path, error)
        if isinstance(problem, InvalidDataError):
            problem.what = f"{path} cannot be read as AnnData: {described(error)}"
        raise problem from error
