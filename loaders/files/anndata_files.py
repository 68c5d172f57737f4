"""Open and write dataset files (AnnData), with one kind of string whatever wrote them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.core.arrays import without_mask
from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.format import (
    CELL_TYPE,
    CLUSTER_LABEL,
    MATCHED_CONTROL,
    REQUIRED_OBS,
    TEST_FILE,
    TIMEPOINT,
    TRAIN_FILE,
)
from pereggrn_data.loaders.files.integrity import sha256_of_file as sha256_of_file
from pereggrn_data.loaders.files.user_paths import required_file
from pereggrn_data.loaders.files.writing import written_in_one_step

if TYPE_CHECKING:
    from anndata import AnnData

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


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
        Observations by genes, natural-log expression in ``X``.
    local_to
        Folder of the local collection, where the name is a published one's too.
    """

    name: str
    path: str | None
    sha256: str
    adata: AnnData
    local_to: str | None = None

    @property
    def shown_as(self) -> str:
        """The name in scores and signatures: a local dataset is not taken for a published one."""
        return f"{self.name} (local: {self.local_to})" if self.local_to else self.name

    def __repr__(self) -> str:
        n, g = self.adata.shape
        return f"Dataset {self.shown_as}: {n} observations x {g} genes, sha256 {self.sha256[:12]}"


def content_sha256(adata: AnnData) -> str:
    """Return a hash of what a dataset says, in hex, equal on every machine.

    It covers the names of observations and genes, the labels of the uniform
    format in ``obs``, and ``X`` rounded to 6 decimals; not the file's bytes,
    the type of its numbers, nor ``raw`` and ``uns``.

    Parameters
    ----------
    adata
        Observations by genes, dense or sparse; finite, and below 1e12.
    """
    labels = [
        [column, *map(_label_text, adata.obs[column])]
        for column in (*REQUIRED_OBS, CELL_TYPE, TIMEPOINT, CLUSTER_LABEL, MATCHED_CONTROL)
        if column in adata.obs
    ]
    text = json.dumps([list(map(str, adata.obs_names)), list(map(str, adata.var_names)), labels])
    values: Any = adata.X
    is_sparse: bool = sparse.issparse(values)
    dense = np.asarray(values.toarray() if is_sparse else values)
    # Whole millionths: free of byte order, of -0.0, and of float32 against float64.
    millionths = np.rint(dense.astype(np.float64) * 1e6).astype("<i8")
    return hashlib.sha256(text.encode() + millionths.tobytes()).hexdigest()


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


def check_is_hdf5(path: Path) -> None:
    """Check that a file exists and begins as HDF5 does.

    Raises
    ------
    MissingFileError
        If there is no such file, or it cannot be read.
    InvalidDataError
        If it is empty or something else.
    """
    with required_file(path).open("rb") as file:
        head = file.read(len(HDF5_MAGIC))
    if not head:
        raise InvalidDataError(f"{path} is empty.", expected="an .h5ad file", got="0 bytes")
    if head != HDF5_MAGIC:
        raise InvalidDataError(
            f"{path} is not an HDF5 file.",
            expected="an .h5ad file, which begins with \\x89HDF",
            got=f"a file that begins with {head!r}",
            fix="if it was downloaded, it may be an error page: look at it.",
        )


def read_h5ad(path: Path) -> AnnData:
    """Read an ``.h5ad`` file into memory, with plain strings.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If it cannot be read: not HDF5, cut short, or not AnnData.
    """
    import anndata

    check_is_hdf5(path)
    adata: AnnData = _explaining_failures(path, lambda: anndata.read_h5ad(path))
    for name, matrix in (("X", adata.X), ("raw.X", None if adata.raw is None else adata.raw.X)):
        _check_sparse(matrix, f"{name} of {path}")
    return with_plain_strings(adata)


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


def read_dataset(path: Path, *, given_as: str | None = None) -> Dataset:
    """Read a dataset file and hash it.

    Parameters
    ----------
    path
        The file.
    given_as
        The path as the user wrote it, kept for messages and predictions files.
    """
    adata = read_h5ad(path)
    return Dataset(
        name=dataset_name(path),
        path=given_as or str(path),
        sha256=sha256_of_file(path),
        adata=adata,
    )


def write_h5ad(adata: AnnData, path: Path) -> None:
    """Write an ``.h5ad`` file that older anndata can read, in one step.

    The file appears under its name only when it is complete.
    """
    with written_in_one_step(path) as temporary:
        with_plain_strings(adata).write_h5ad(temporary, compression="gzip")


def write_unfilled_h5ad(
    path: Path, *, obs: pd.DataFrame, var: pd.DataFrame, uns: dict[str, Any]
) -> None:
    """Write an ``.h5ad`` file whose X is NaN throughout, without holding X in memory.

    HDF5 stores nothing for chunks that were never written and reads their fill
    value, so the file stays small whatever its shape.
    """
    import anndata
    import h5py

    shape = (len(obs), len(var))
    with written_in_one_step(path) as temporary:
        with_plain_strings(anndata.AnnData(obs=obs, var=var, uns=uns)).write_h5ad(temporary)
        with h5py.File(temporary, "a") as file:
            file.pop("X", None)
            x = file.create_dataset(
                "X", shape, np.float64, chunks=True, compression="gzip", fillvalue=np.nan
            )
            x.attrs["encoding-type"], x.attrs["encoding-version"] = "array", "0.2.0"


def own_copy(given: AnnData) -> AnnData:
    """Copy an AnnData object of the user's: plain strings, and NaN where X is masked."""
    x = _unmasked_x(given)
    adata = given.copy()
    if x is not None:
        adata.X = x
    return with_plain_strings(adata)


def _unmasked_x(given: AnnData) -> Any:
    """Return X with NaN where it is masked; None where nothing is."""
    if given.is_view:  # a view forgets the mask of what it looks at
        whole = given._adata_ref.X
        if isinstance(whole, np.ma.MaskedArray):
            return without_mask(whole)[given._oidx][:, given._vidx]
        return None
    return without_mask(given.X) if isinstance(given.X, np.ma.MaskedArray) else None


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


def plain_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame of plain types, in columns, categories and index.

    Text becomes object of str with NaN where it is missing, nullable numbers
    become plain ones (float with NaN where one is missing), and nullable truth
    values become bool. Truth values of which some are missing are left as they
    are, for the rules to refuse: bool has no word for "unknown".
    """
    out = frame.copy(deep=False)
    for name in frame.columns:
        dtype = frame[name].dtype
        if isinstance(dtype, (pd.CategoricalDtype, pd.api.extensions.ExtensionDtype)):
            out[name] = _plain_column(frame[name])
    out.index = _plain_index(frame.index)
    out.columns = _plain_index(frame.columns)
    return out


def _plain_column(column: pd.Series[Any]) -> pd.Series[Any]:
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return column.cat.rename_categories(list(_plain_index(column.cat.categories)))
    if isinstance(dtype, pd.StringDtype):
        return column.astype(object).where(column.notna(), np.nan)
    if pd.api.types.is_bool_dtype(dtype):
        return column if column.hasnans else column.astype(bool)
    if hasattr(dtype, "numpy_dtype") and pd.api.types.is_numeric_dtype(dtype):
        plain: Any = np.float64 if column.hasnans else dtype.numpy_dtype
        return column.astype(plain)
    return column


def _plain_index(index: pd.Index[Any]) -> pd.Index[Any]:
    if isinstance(index.dtype, pd.StringDtype):
        plain: pd.Index[Any] = pd.Index(
            index.to_numpy(dtype=object), dtype=object, name=index.name
        )
        return plain
    return index


def _explaining_failures(path: Path, read: Callable[[], Any]) -> Any:
    """Run `read` and turn what HDF5 and anndata raise into our error."""
    try:
        return read()
    except Exception as error:  # MemoryError too: a damaged size asks for any amount
        raise InvalidDataError(
            f"{path} cannot be read as AnnData: {type(error).__name__}: {error}".split("\n")[0],
            expected="a complete .h5ad file written by anndata",
            fix="it may have been cut short while it was copied: fetch or write it again.",
        ) from error
