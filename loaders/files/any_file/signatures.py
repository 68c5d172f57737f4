"""What a file is, by its first bytes, where it is not what was asked for: one registry.

People hand over files of many kinds: another container, a packed file, a pointer that
stands for a file, an error page. Each is named, with the way on. Readers ask
:func:`refuse_other_kind` before they read.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pereggrn_data.core.errors import InvalidDataError, MissingFileError
from pereggrn_data.loaders.files.any_file.zip_bounds import BoundedIndex

HEAD_SIZE = 4096
"""Bytes that are looked at."""

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
PARQUET_MAGIC = b"PAR1"

TEXT_ENDINGS = (".csv", ".tsv", ".tab", ".txt")
"""Endings of tables of text, in any case; each also with .gz behind it."""

MADE_OF_TABLES = {
    "hdf5": "`pereggrn-data convert` makes a dataset of a table of counts",
    "parquet": "`pereggrn-data networks import` makes a network of a table of edges",
}
"""Which command makes a file of a kind of a table."""

CONVERT_TO_H5AD = "open it in Python and write it with adata.write_h5ad(...)"
FETCH_AGAIN = "fetch it again"
UNPACK = "unpack it first"


@dataclass(frozen=True)
class FileSignature:
    """A kind of file that can be told by its content.

    Parameters
    ----------
    name
        Short and unique.
    what
        What the file is, as "a gzip file".
    fix
        How to get from it to a file that can be read.
    fits
        Judges the first bytes of a file.
    endings
        What the names of such files end in, where some command reads them.
    """

    name: str
    what: str
    fix: str
    fits: Callable[[bytes], bool]
    endings: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """What it is, without the explanation."""
        return self.what.partition(", which")[0].partition(":")[0]


def _starts(*beginnings: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(beginnings)


def _is_page(head: bytes) -> bool:
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html"))


def _is_annex(head: bytes) -> bool:
    return head.startswith(b"/annex/objects/") or b".git/annex/objects/" in head[:200]


def _gzip_content(head: bytes) -> bytes:
    """Return the beginning of what a gzip file holds."""
    if not head.startswith(b"\x1f\x8b"):
        return b""
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(head, HEAD_SIZE)
    except zlib.error:
        return b""


def _is_rds(head: bytes) -> bool:
    return (_gzip_content(head) or head).startswith(
        (b"X\n\x00\x00\x00", b"RDX", b"A\n2\n", b"A\n3\n")
    )


def _is_hdf5(head: bytes) -> bool:
    # A user block may come before, of 512 bytes or a power of 2 times that.
    return any(head.startswith(HDF5_MAGIC, at) for at in (0, 512, 1024, 2048))


def _is_text(head: bytes) -> bool:
    try:
        # The last character may be cut in two.
        text = head[:-4].decode() if len(head) == HEAD_SIZE else head.decode()
    except UnicodeDecodeError:
        return False
    return bool(text) and all(c.isprintable() or c.isspace() or c == "\ufeff" for c in text)


def _is_table(head: bytes) -> bool:
    """Say whether a text has the same separators in its first two lines, as far as they go."""
    first, second, *rest = [*head.split(b"\n"), b""]
    is_cut = len(rest) < 2 and len(head) == HEAD_SIZE  # names of thousands of genes are long
    counts = [(first.count(mark), second.count(mark)) for mark in b"\t,;|"]
    return _is_text(head) and any(
        n > 0 and (is_cut or (m > 0 and abs(n - m) <= 1)) for n, m in counts
    )


def _decompress(program: str) -> str:
    """Say how to unpack a file; these programs refuse endings that are not theirs."""
    return f"decompress it first, with {program} < FILE > NEW_FILE"


_R = "in R, write it with zellkonverter::writeH5AD (or anndataR::write_h5ad)"

SIGNATURES: tuple[FileSignature, ...] = (
    FileSignature(
        "empty", "an empty file (0 bytes)", f"{FETCH_AGAIN}, or write it again", lambda h: not h
    ),
    FileSignature(
        "hdf5",
        "an HDF5 file",
        "name it .h5ad, if it holds an AnnData object",
        _is_hdf5,
        (".h5ad",),
    ),
    FileSignature(
        "parquet", "a parquet file", "name it .parquet", _starts(PARQUET_MAGIC), (".parquet",)
    ),
    FileSignature(
        "git-lfs",
        "a Git LFS pointer, which stands for the file itself",
        "run `git lfs pull` where it was checked out",
        _starts(b"version https://git-lfs"),
    ),
    FileSignature(
        "git-annex",
        "a git-annex pointer, which stands for the file itself",
        "run `git annex get` where it was checked out",
        _is_annex,
    ),
    FileSignature(
        "dvc",
        "a DVC pointer, which stands for the file itself",
        "run `dvc pull` where it was checked out",
        lambda h: h.startswith(b"outs:") and b"md5:" in h,
    ),
    FileSignature(
        "web page",
        "a web page (HTML)",
        "the server sent a page instead of the file, perhaps an error or a login: look at it, "
        "and fetch the file again",
        _is_page,
    ),
    FileSignature(
        "xml",
        "an XML text",
        "the server may have sent an error instead of the file: look at it",
        lambda h: h.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<?xml"),
    ),
    FileSignature("rds", "an R file (.rds, .RData)", _R, _is_rds),
    FileSignature("gzip", "a gzip file", _decompress("gunzip"), _starts(b"\x1f\x8b")),
    FileSignature("bzip2", "a bzip2 file", _decompress("bunzip2"), _starts(b"BZh")),
    FileSignature("xz", "an xz file", _decompress("unxz"), _starts(b"\xfd7zXZ\x00")),
    FileSignature(
        "zstd",
        "a Zstandard file",
        _decompress("unzstd"),
        _starts(b"\x28\xb5\x2f\xfd"),
    ),
    FileSignature("lz4", "an LZ4 file", _decompress("unlz4"), _starts(b"\x04\x22\x4d\x18")),
    FileSignature("7z", "a 7z archive", UNPACK, _starts(b"7z\xbc\xaf\x27\x1c")),
    FileSignature("rar", "a RAR archive", UNPACK, _starts(b"Rar!")),
    FileSignature(
        "tar", "a tar archive", f"{UNPACK}, with tar -xf", lambda h: h[257:262] == b"ustar"
    ),
    FileSignature(
        "zip", "a zip archive", f"{UNPACK}, with unzip", _starts(b"PK\x03\x04", b"PK\x05\x06")
    ),
    FileSignature(
        "feather",
        "a Feather (Arrow) file",
        "read it with pandas.read_feather and write it with .to_parquet",
        _starts(b"ARROW1", b"FEA1"),
    ),
    FileSignature(
        "xls",
        "a spreadsheet (Excel 97)",
        "save it as CSV, and look whether it made dates of genes",
        _starts(b"\xd0\xcf\x11\xe0"),
    ),
    FileSignature(
        "numpy",
        "a NumPy array (.npy)",
        "it has no names: put it into an AnnData object or a table",
        _starts(b"\x93NUMPY"),
    ),
    FileSignature(
        "pickle",
        "a pickled Python object, which is not opened: it could run any code",
        f"{CONVERT_TO_H5AD}, if you trust it",
        lambda h: h[:1] == b"\x80" and h[1:2] in b"\x02\x03\x04\x05",
    ),
    FileSignature(
        "matrix market",
        "a Matrix Market file (.mtx)",
        "read it with scanpy.read_10x_mtx or anndata.io.read_mtx, and write it with .write_h5ad",
        _starts(b"%%MatrixMarket"),
    ),
    FileSignature(
        "sqlite",
        "an SQLite database",
        "export the table that is meant",
        _starts(b"SQLite format 3"),
    ),
    FileSignature("pdf", "a PDF document", "name the data file instead", _starts(b"%PDF")),
    FileSignature(
        "appledouble",
        "what macOS keeps of a file on other disks (a ._ file)",
        "name the file without ._ in front",
        _starts(b"\x00\x05\x16\x07", b"\x00\x05\x16\x00"),
    ),
    FileSignature(
        "zeros",
        "a file that begins with zeros: a transfer that was not completed",
        FETCH_AGAIN,
        lambda h: len(h) >= 8 and not h.strip(b"\x00"),
    ),
    FileSignature(
        "json",
        "a JSON text",
        "the server may have sent an error instead of the file: look at it",
        lambda h: h.lstrip()[:1] in (b"{", b"[") and _is_text(h),
    ),
    FileSignature("table", "a table of text", "name it .csv", _is_table, TEXT_ENDINGS),
    FileSignature(
        "text",
        "a text file",
        "look at it: it may be a message instead of data",
        _is_text,
        TEXT_ENDINGS,
    ),
)
"""Every kind that is told apart; the first that fits counts."""

SIGNATURES_BY_NAME = {signature.name: signature for signature in SIGNATURES}

_UNKNOWN = FileSignature(
    "unknown", "a file of an unknown kind", f"look at it, or {FETCH_AGAIN}", lambda _: True
)

_ZARR = FileSignature(
    "zarr",
    "a zarr store",
    "`pereggrn-data convert` reads it; or read it with anndata.read_zarr(...) and write it with "
    ".write_h5ad(...)",
    lambda _: False,
)
_SPREADSHEET = FileSignature(
    "xlsx",
    "a spreadsheet (Excel)",
    "save it as CSV, and look whether it made dates of genes",
    lambda _: False,
)
_NPZ = FileSignature(
    "npz",
    "a NumPy archive (.npz)",
    "it has no names: put its arrays into an AnnData object",
    lambda _: False,
)
_ZARR_PARTS = frozenset({".zgroup", ".zattrs", ".zarray", ".zmetadata", "zarr.json"})


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file, as many as are looked at."""
    with path.open("rb") as file:
        return file.read(HEAD_SIZE)


def recognise(path: Path) -> FileSignature:
    """Say what a file is by its content, or a folder by what is in it.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    if path.is_dir():
        return _ZARR if is_zarr_folder(path) else _UNKNOWN
    head = head_of(path)
    found = _kind_of(head)
    if found.name == "gzip":
        return _gzip_kind(head, found)
    return _zip_kind(path, found) if found.name == "zip" else found


def _kind_of(head: bytes) -> FileSignature:
    return next((s for s in SIGNATURES if s.fits(head)), _UNKNOWN)


def _gzip_kind(head: bytes, packed: FileSignature) -> FileSignature:
    """Say what a gzip file holds; only those of text are read as they are."""
    held = _kind_of(_gzip_content(head))
    if held.name in ("empty", "gzip", "unknown"):
        return packed
    what = f"{packed.what}, which holds {held.what}"
    if held.endings == TEXT_ENDINGS:
        endings = tuple(f"{ending}.gz" for ending in TEXT_ENDINGS)
        return replace(packed, what=what, fix="name it .csv.gz", endings=endings)
    fix = f"{packed.fix}{held.endings[0]}" if held.endings else held.fix
    return replace(packed, name=f"gzip of {held.name}", what=what, fix=fix)


def is_zarr_folder(path: Path) -> bool:
    """Say whether a path is a folder with the marks of a zarr store."""
    return path.is_dir() and any((path / part).exists() for part in _ZARR_PARTS)


def _zip_kind(path: Path, archive: FileSignature) -> FileSignature:
    try:
        with path.open("rb") as opened, zipfile.ZipFile(BoundedIndex(opened, path)) as file:
            names = file.namelist()[:1000]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, InvalidDataError):
        return archive
    if any(name.rsplit("/", 1)[-1] in _ZARR_PARTS for name in names):
        return _ZARR
    if any(name.startswith("xl/") for name in names):
        return _SPREADSHEET
    return _NPZ if names and all(name.endswith(".npy") for name in names) else archive


def refuse_other_kind(path: Path, wanted: str | tuple[str, ...], expected: str) -> None:
    """Check that a file is of the kind that is to be read, by its first bytes.

    Parameters
    ----------
    path
        An existing file.
    wanted
        The names of kinds in :data:`SIGNATURES` that can be read, such as ``"hdf5"``;
        ``"unknown"`` for what is not recognised.
    expected
        What the reader expects, for the message.

    Raises
    ------
    InvalidDataError
        Naming what it is instead, with the way on.
    """
    found = recognise(path)
    if found.name not in ((wanted,) if isinstance(wanted, str) else wanted):
        raise other_kind(path, found, expected, wanted)


def other_kind(
    path: Path, found: FileSignature, expected: str, wanted: str | tuple[str, ...] = ()
) -> InvalidDataError:
    """Return the error that names what a file is instead of what was expected."""
    if found.name == "empty":
        return InvalidDataError(
            f"{path} is empty.", expected=expected, got="0 bytes", fix=f"{found.fix}."
        )
    got = None
    if found.name in ("unknown", "table", "text", "json", "xml"):
        got = f"{found.what} that begins with {head_of(path)[:12]!r}"
    return InvalidDataError(
        f"{path} is {found.short}, not {expected.partition(',')[0]}.",
        expected=expected,
        got=got or found.what,
        fix=f"{_way_on(path, found, expected, wanted)}.",
    )


def _way_on(path: Path, found: FileSignature, expected: str, wanted: str | tuple[str, ...]) -> str:
    """Say what to do with a file of another kind, whose name may well be as it should."""
    is_named_so = path.name.lower().endswith(found.endings)
    ways = [] if is_named_so else [found.fix]
    if is_named_so or (found.endings and found.name != "hdf5"):
        kinds = (wanted,) if isinstance(wanted, str) else wanted
        ways += [MADE_OF_TABLES[kind] for kind in kinds if kind in MADE_OF_TABLES]
    return "; ".join(ways) or f"name {expected.partition(',')[0]} instead"


def explained_folder(path: Path) -> MissingFileError:
    """Return the error for a folder where a file was asked for."""
    found = recognise(path)
    if found is _ZARR:
        return MissingFileError(
            f"{path} is a zarr store, and a file is asked for here.",
            expected="a file, for datasets an .h5ad file",
            got="a zarr store (a folder)",
            fix=f"{_ZARR.fix}.",
        )
    return MissingFileError(
        f"{path} is not a file.",
        expected="a file",
        got="a folder",
        fix="name a file in it, for example with */test.h5ad, or *.parquet for a network.",
    )
