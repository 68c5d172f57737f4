"""HDF5 files that are no ``.h5ad`` files, and what HDF5 fails of: each with the way on."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pereggrn_data.core.errors import InvalidDataError, MissingFileError, PereggrnError
from pereggrn_data.core.foreign_reading import let_through
from pereggrn_data.loaders.files.any_file.signatures import CONVERT_TO_H5AD

_SYSTEM_ERROR = re.compile(r"\berrno = (\d+)")
_LOCKED = frozenset({errno.EAGAIN, errno.EACCES, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP})
_ABSENT_FILTER = re.compile(
    r"required filter|filter.*not (available|registered)|can't open directory", re.I
)


@dataclass(frozen=True)
class Hdf5Layout:
    """A kind of HDF5 file other than ``.h5ad``, known by what is at its root.

    Parameters
    ----------
    what, fix
        As in :class:`FileSignature`.
    fits
        Judges the names at the root, and the texts in its attributes.
    """

    what: str
    fix: str
    fits: Callable[[frozenset[str], frozenset[str]], bool]


HDF5_LAYOUTS: tuple[Hdf5Layout, ...] = (
    Hdf5Layout(
        "a MuData file (.h5mu)",
        'write the modality that is meant: mudata.read_h5mu(...).mod["rna"].write_h5ad(...)',
        lambda names, attributes: "MuData" in attributes or "mod" in names,
    ),
    Hdf5Layout(
        "a loom file (.loom)",
        "read it with anndata.io.read_loom(...) and write it with .write_h5ad(...)",
        lambda names, _: {"matrix", "row_attrs", "col_attrs"} <= names,
    ),
    Hdf5Layout(
        "a Seurat file (.h5seurat)",
        "in R, SeuratDisk::Convert(..., dest = 'h5ad') makes an .h5ad file of it",
        lambda names, _: {"assays", "cell.names"} <= names,
    ),
    Hdf5Layout(
        "a 10x Genomics file (.h5) of counts",
        "`pereggrn-data convert` makes a dataset of it, with a table of labels (--obs)",
        lambda names, attributes: "matrix" in attributes and "obs" not in names,
    ),
    Hdf5Layout(
        "a pandas HDF store",
        "read it with pandas.read_hdf and write it as .h5ad or .parquet",
        lambda _, attributes: "PYTABLES_FORMAT_VERSION" in attributes,
    ),
)
"""HDF5 files that people take for ``.h5ad``."""


def hdf5_problem(path: Path, error: BaseException) -> PereggrnError:
    """Return the error to raise where HDF5 cannot open or read a file, with its cause.

    A lock that is refused and a disk that fails are no fault of the file.

    Raises
    ------
    KeyboardInterrupt, MemoryError
        If it comes from one of these.
    """
    let_through(error)
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    system = error.errno if isinstance(error, OSError) else None
    if system is None and (found := _SYSTEM_ERROR.search(str(error))):
        system = int(found[1])
    if "unable to lock file" in str(error) and (system is None or system in _LOCKED):
        return MissingFileError(
            f"{path} cannot be locked for reading: it is in use by another program, or its file "
            "system has no locks.",
            got=text,
            fix="close it there (a notebook may have it open for writing); or, if nobody is "
            "writing to it, set HDF5_USE_FILE_LOCKING=FALSE.",
        )
    if system is not None and system not in (0, errno.EINVAL):
        return MissingFileError(
            f"{path} cannot be read.",
            got=os.strerror(system),
            fix="look at the disk or the server that it is on, and try again.",
        )
    if _ABSENT_FILTER.search(str(error)):
        return InvalidDataError(
            f"{path} is packed by a method that HDF5 does not know here.",
            got=text,
            fix="`pip install hdf5plugin` and read it by `import hdf5plugin` in Python, or write "
            "it again with compression='gzip'.",
        )
    return InvalidDataError(
        f"{path} cannot be read: it is damaged or cut short.",
        expected="a complete .h5ad file",
        got=text,
        fix="it may have been cut short while it was copied: fetch or write it again.",
    )


def hdf5_layout(names: frozenset[str], attributes: frozenset[str]) -> Hdf5Layout | None:
    """Say which other kind of HDF5 file has these names and attributes at its root."""
    return next((known for known in HDF5_LAYOUTS if known.fits(names, attributes)), None)


def not_h5ad(path: Path, names: frozenset[str], layout: Hdf5Layout | None) -> InvalidDataError:
    """Return the error for an HDF5 file that is not laid out as AnnData."""
    shown = or_and(sorted(names))
    if layout is not None:
        return InvalidDataError(
            f"{path} is {layout.what}, not an .h5ad file.",
            expected="obs, var and X",
            got=f"{layout.what} with {shown}",
            fix=f"{layout.fix}.",
        )
    return InvalidDataError(
        f"{path} is an HDF5 file, but not an .h5ad file.",
        expected="obs, var and X",
        got=shown,
        fix=f"{CONVERT_TO_H5AD}.",
    )


def or_and(names: list[str]) -> str:
    """List a few names at the root of a file."""
    return ", ".join(names[:10]) or "nothing in it"
