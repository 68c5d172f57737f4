"""The one reader of AnnData in zarr stores: version 2, and version 3 with shards.

A store is a folder of small files, some of which say how others are packed. Like an HDF5
file it may have come from anywhere: links that lead out of it are refused, and so are values
that are packed as Python objects, which could run any code.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.foreign_reading import FORMATS, let_through, reading
from pereggrn_data.core.reports import Finding
from pereggrn_data.core.resources import resources
from pereggrn_data.core.rows.row_blocks import StoredMatrix
from pereggrn_data.loaders.files.any_file import (
    LARGE,
    blake3_of_file,
    is_zarr_folder,
    sha256_of_file,
)
from pereggrn_data.loaders.files.datasets.blocks import bytes_of, matrix_in_zarr
from pereggrn_data.loaders.files.datasets.stored_data import (
    StoredData,
    StoredRaw,
    check_shape,
    explained_rows,
)
from pereggrn_data.loaders.files.datasets.stored_rows import stored_rows
from pereggrn_data.loaders.files.hdf5 import MAPPINGS, WITH_RULES
from pereggrn_data.loaders.files.tables import plain_frame
from pereggrn_data.validators import RULES, ExpressionParts, Matrix

MOST_FILES = 5_000_000
"""Files of a store; each chunk without shards is one."""

_METADATA = frozenset({".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json"})
_OBJECTS = re.compile(rb'"(?:id|name)"\s*:\s*"(?:numcodecs\.)?(pickle|msgpack2)"')
_FORMAT = FORMATS["zarr"]


def sha256_of_store(path: Path) -> str:
    """Return the sha256, in hex, of the names and contents of all files of a store."""
    return hashlib.sha256(_listed(path, sha256_of_file)).hexdigest()


def checksum_of_store(path: Path) -> str:
    """Return what a store is told by: as of a file, and as :func:`sha256_of_store`."""
    if sum(file.stat().st_size for file in _files(path)) < LARGE:
        return f"sha256:{sha256_of_store(path)}"
    from blake3 import blake3

    return f"blake3:{blake3(_listed(path, blake3_of_file)).hexdigest()}"


def _listed(path: Path, hash_of: Callable[[Path], str]) -> bytes:
    """Write the hashes and names of all files, one per line."""
    files = _files(path)
    return "".join(f"{hash_of(f)}  {f.relative_to(path).as_posix()}\n" for f in files).encode()


def promised_store(given: str | Path, sha256: str) -> Path | None:
    """Return the path of a store that a file names, if it is the promised one, and no link."""
    try:
        path = Path(given).expanduser()
        if path.is_symlink() or not is_zarr_folder(path):
            return None
        return path if sha256_of_store(path) == sha256 else None
    except (OSError, ValueError, RuntimeError, InvalidDataError):
        return None


def _files(path: Path) -> list[Path]:
    """List the files of a store in order of their names; links are refused."""
    found: list[Path] = []
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            if (Path(folder) / name).is_symlink():
                raise InvalidDataError(
                    f"{path} refers to files outside of itself.",
                    expected="a store with all its values in it",
                    got=f"a link: {Path(folder, name).relative_to(path)}",
                    fix="nothing of it was read. If you trust it, copy it with the files that it "
                    "links to (cp -rL).",
                )
        found += [Path(folder, name) for name in files]
        if len(found) > MOST_FILES:
            raise InvalidDataError(f"{path} has too many files.", expected=f"at most {MOST_FILES}")
    return sorted(found, key=lambda file: file.relative_to(path).as_posix())


def refuse_objects(path: Path) -> None:
    """Check that no values of a store are Python objects, and that no link leads out of it.

    Raises
    ------
    InvalidDataError
        If there is one.
    """
    for file in _files(path):
        if file.name in _METADATA and (packed := _OBJECTS.search(file.read_bytes())):
            raise InvalidDataError(
                f"{path} holds Python objects, which are not opened: they could run any code.",
                expected="numbers and text",
                got=f"{packed[1].decode()} in {file.relative_to(path)}",
                fix="read it with anndata, if you trust it, and write it again.",
            )


@contextmanager
def open_zarr(path: Path) -> Iterator[Any]:
    """Open a store for reading; it must have been checked by :func:`refuse_objects`."""
    import zarr

    with warnings.catch_warnings():
        # Stores of older versions are fine; what cannot be read is raised.
        warnings.simplefilter("ignore")
        with reading(path, _FORMAT):
            group = zarr.open_group(str(path), mode="r")
        yield group


def open_stored_zarr(
    path: Path, *, with_raw: bool = True, hold: bool = False
) -> tuple[StoredData, tuple[str, ...]]:
    """Open a store whose matrices stay on disk.

    Parameters
    ----------
    path
        The folder.
    with_raw
        Whether counts are wanted.
    hold
        Whether X is read into memory if it is small.

    Returns
    -------
    StoredData, tuple of str
        And what of it was left.

    Raises
    ------
    InvalidDataError
        If it is no AnnData or cannot be read.
    """
    data, left = _opened(path, with_raw)
    check_shape(data.X, data.shape, f"X of {path}")
    if data.raw is not None:
        check_shape(data.raw.X, (data.n_obs, len(data.raw.var)), f"raw.X of {path}")
    if data.X is not None and hold and not is_large_store(path, "X"):
        again = partial(rows_in_zarr, path, "X")
        data = replace(data, X=data.X.to_memory(), x_in_file=again)
    return data, left


def _opened(path: Path, with_raw: bool = True) -> tuple[StoredData, tuple[str, ...]]:
    refuse_objects(path)
    left: list[Finding] = []
    with open_zarr(path) as group, reading(path, _FORMAT):
        require_anndata(group, path)
        obs, var = (_frame(group, slot) for slot in ("obs", "var"))
        uns = _uns(group, left)
        left += [
            RULES["element-left"].found("stores are read without it", slot=slot, column=key)
            for slot in MAPPINGS
            if slot in group
            for key in group[slot]
        ]
        x = rows_in_zarr(path, "X") if is_there(group, "X") else None
        raw = None
        if with_raw and is_there(group, "raw/X"):
            raw = StoredRaw(rows_in_zarr(path, "raw/X"), _frame(group, "raw/var"))
    return StoredData(obs, var, uns, x, raw), tuple(map(str, left))


@contextmanager
def open_zarr_parts(path: Path) -> Iterator[ExpressionParts]:
    """Open a store and yield the parts that have rules; matrices stay on disk.

    Raises
    ------
    InvalidDataError
        If it is no AnnData or cannot be read.
    """
    data, _ = _opened(path)
    with open_zarr(path) as group:
        with reading(path, _FORMAT):
            x, raw = (
                matrix_in_zarr(group[slot]) if is_there(group, slot) else None
                for slot in ("X", "raw/X")
            )
        yield _parts(data, x, raw)


def _parts(data: StoredData, x: Matrix | None, raw: Matrix | None) -> ExpressionParts:
    obs, var = data.obs, data.var
    return ExpressionParts(
        obs=obs[[c for c in WITH_RULES["obs"] if c in obs]],
        var=var[[c for c in WITH_RULES["var"] if c in var]],
        uns={key: data.uns[key] for key in WITH_RULES["uns"] if key in data.uns},
        x=x,
        raw=raw,
        obs_columns=tuple(map(str, obs.columns)),
        var_columns=tuple(map(str, var.columns)),
        raw_genes=None if data.raw is None else pd.Index(list(data.raw.var_names), dtype=object),
        read_var=lambda name: list(var[name]),
    )


def is_large_store(path: Path, *slots: str) -> bool:
    """Say whether matrices of a store should not be held in memory as a whole."""
    with open_zarr(path) as group, reading(path, _FORMAT):
        total = sum(bytes_of(group[slot]) for slot in slots if is_there(group, slot))
    return total > resources().bytes_to_hold


def rows_in_zarr(path: Path, slot: str) -> StoredMatrix:
    """Return the rows of ``"X"`` or ``"raw/X"`` of a store, which are not read yet."""

    @contextmanager
    def opened() -> Iterator[Any]:
        with open_zarr(path) as group:
            yield group[slot]

    return explained_rows(stored_rows(opened), path, slot, _FORMAT)


def require_anndata(group: Any, path: Path) -> None:
    """Check that a store is one of AnnData.

    Raises
    ------
    InvalidDataError
        If it is not.
    """
    if "obs" not in group or "var" not in group:
        raise InvalidDataError(
            f"{path} is a zarr store, but not one of AnnData.",
            expected="obs, var and X",
            got=", ".join(sorted(group)[:10]) or "nothing in it",
            fix="write the AnnData object that is meant with .write_zarr(...).",
        )


def is_there(group: Any, slot: str) -> bool:
    """Say whether a store has a matrix, and not one that is marked as none."""
    return slot in group and group[slot].attrs.get("encoding-type") != "null"


def _frame(group: Any, slot: str) -> pd.DataFrame:
    from anndata.io import read_elem

    frame: pd.DataFrame = plain_frame(read_elem(group[slot]))
    return frame


def _uns(group: Any, left: list[Finding]) -> dict[str, Any]:
    from anndata.io import read_elem

    values: dict[str, Any] = {}
    for key in group.get("uns", ()):
        try:
            values[key] = read_elem(group["uns"][key])
        except Exception as error:  # anndata and zarr raise nearly every type
            let_through(error)
            if key in WITH_RULES["uns"]:
                raise
            got = f"{type(error).__name__}: {error}".splitlines()[0]
            left.append(RULES["element-left"].found(got, slot="uns", column=key))
    return values
