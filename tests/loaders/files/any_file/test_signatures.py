"""A file of another kind is named, with the way on, wherever it is handed over."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from pereggrn_data import open_network, split, validate
from pereggrn_data.core.errors import ExitCode, InvalidDataError, MissingFileError, UsageError
from pereggrn_data.loaders.files import read_predictions, read_split
from pereggrn_data.loaders.files.any_file import recognise
from pereggrn_data.loaders.files.any_file.hdf5_kinds import HDF5_LAYOUTS, hdf5_problem
from pereggrn_data.loaders.files.any_file.signatures import SIGNATURES

pytestmark = pytest.mark.looks_through

Make = Callable[[], AnnData]


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "{}")
    return buffer.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
TABLE = b"perturbation\t" + b"\t".join(b"GENE%d" % i for i in range(2000)) + b"\nA\t1\n"
"""Its first line alone is longer than what is looked at."""

CONTENT: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "is empty", "fetch it again"),
    "git-lfs": (LFS, "Git LFS pointer", "git lfs pull"),
    "git-annex": (b"/annex/objects/SHA256E-s1--0.h5ad\n", "git-annex", "git annex get"),
    "dvc": (b"outs:\n- md5: 0\n  path: x.h5ad\n", "DVC pointer", "dvc pull"),
    "web page": (b"\n<!DOCTYPE html><html>", "web page", "fetch the file again"),
    "xml": (b"<?xml version='1.0'?><Error/>", "XML", "look at it"),
    "rds": (gzip.compress(b"X\n\x00\x00\x00\x03"), "R file", "zellkonverter"),
    "gzip": (gzip.compress(TABLE), "gzip file", "name it .csv.gz"),
    "gzip of hdf5": (gzip.compress(b"\x89HDF\r\n\x1a\n"), "holds an HDF5 file", "gunzip <"),
    "gzip of web page": (gzip.compress(b"<html>"), "holds a web page", "fetch the file again"),
    "table": (TABLE, "is a table of text", "name it .csv"),
    "bzip2": (bz2.compress(b"a"), "bzip2 file", "bunzip2"),
    "xz": (lzma.compress(b"a"), "xz file", "unxz"),
    "zip": (zipped("readme.md"), "zip archive", "unzip"),
    "zarr": (zipped("x/.zgroup"), "zarr store", "read_zarr"),
    "xlsx": (zipped("xl/workbook.xml"), "spreadsheet", "CSV"),
    "npz": (zipped("data.npy"), "NumPy archive", "AnnData"),
    "feather": (b"ARROW1\x00\x00", "Feather", "read_feather"),
    "numpy": (b"\x93NUMPY\x01", "NumPy array", "AnnData"),
    "pickle": (b"\x80\x04\x95", "pickled", "if you trust it"),
    "appledouble": (b"\x00\x05\x16\x07\x00", "macOS", "without ._"),
    "zeros": (bytes(5000), "begins with zeros", "fetch it again"),
    "json": (b'{"message": "Not Found"}', "JSON", "look at it"),
    "text": (b"not what you want\n", "text file", "look at it"),
}


def failures(path: Path) -> list[str]:
    """Hand a file to everything that reads its kind; all must refuse it."""
    readers: list[Any] = [read_predictions, split if path.suffix == ".h5ad" else open_network]
    said = []
    for read in readers:
        with pytest.raises(InvalidDataError) as refused:
            read(path)
        said.append(str(refused.value))
    (finding,) = validate(path).findings
    assert finding.code == "file-unreadable"
    return [*said, "\n".join(finding.to_lines())]


@pytest.mark.parametrize("ending", [".h5ad", ".parquet"])
@pytest.mark.parametrize("name", CONTENT)
def test_other_kinds(name: str, ending: str, tmp_path: Path) -> None:
    content, what, fix = CONTENT[name]
    path = tmp_path / f"x{ending}"
    path.write_bytes(content)
    assert recognise(path).name == name
    for said in failures(path):
        assert what in said
        assert fix in said
        assert "cut short" not in said


def test_every_name_is_one_kind() -> None:
    names = [signature.name for signature in SIGNATURES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("name", "read", "fix"),
    [
        ("x.csv", split, "`pereggrn-data convert` makes a dataset of a table of counts."),
        ("x.csv", open_network, "`pereggrn-data networks import` makes a network"),
        ("x.tsv.gz", open_network, "`pereggrn-data networks import` makes a network"),
        ("x.txt", split, "`pereggrn-data convert` makes a dataset"),
        ("x.dat", split, "name it .csv; `pereggrn-data convert` makes a dataset"),
        ("x.dat", read_predictions, "name it .csv."),
        ("x.dat.gz", read_predictions, "name it .csv.gz."),
        ("x.parquet", read_predictions, "name it .csv; `pereggrn-data networks import`"),
    ],
)
@pytest.mark.parametrize("table", [b"regulator,target\nA,B\n", TABLE])
def test_a_table_under_any_name(
    name: str, read: Callable[[Path], Any], fix: str, table: bytes, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(table) if name.endswith("gz") else table)
    with pytest.raises((InvalidDataError, UsageError)) as refused:
        read(path)
    assert str(refused.value.fix).startswith(fix)


def test_no_file_is_told_to_get_the_name_that_it_has(small_dataset: Make, tmp_path: Path) -> None:
    small_dataset().write_h5ad(tmp_path / "x.h5ad")
    pd.DataFrame({"perturbation": ["A"]}).to_parquet(tmp_path / "x.parquet", index=False)
    with pytest.raises(InvalidDataError, match="is an HDF5 file") as refused:
        open_network(tmp_path / "x.h5ad")
    assert "networks import" in str(refused.value.fix)
    with pytest.raises(InvalidDataError, match="is a parquet file") as refused:
        split(tmp_path / "x.parquet")
    assert "convert" in str(refused.value.fix)
    with pytest.raises(InvalidDataError, match="is an HDF5 file") as refused:
        read_split(tmp_path / "x.h5ad")
    assert refused.value.fix == "name a split.json instead."


def test_messages_are_no_tables(tmp_path: Path) -> None:
    for text in ("Sorry, not found", "Sorry, not found\n", "Dear all,\nno such file\n"):
        (tmp_path / "x").write_text(text)
        assert recognise(tmp_path / "x").name == "text"


@pytest.mark.parametrize(
    "name", ["git-lfs", "web page", "xz", "xlsx", "rds", "gzip of hdf5", "gzip of web page"]
)
def test_tables_of_text(name: str, tmp_path: Path) -> None:
    content, what, fix = CONTENT[name]
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidDataError, match=what) as refused:
        read_predictions(path)
    assert fix in str(refused.value)


def mudata(file: h5py.File) -> None:
    file.create_group("mod/rna")
    file.create_group("obs")
    file.create_group("var")
    file.attrs["encoding-type"] = "MuData"


def loom(file: h5py.File) -> None:
    file["matrix"] = np.zeros((2, 2))
    file.create_group("row_attrs")
    file.create_group("col_attrs")


def seurat(file: h5py.File) -> None:
    file.create_group("assays/RNA")
    file["cell.names"] = np.zeros(2)


def tenx(file: h5py.File) -> None:
    for part in ("barcodes", "data", "indices", "indptr", "shape"):
        file[f"matrix/{part}"] = np.zeros(2)


def pytables(file: h5py.File) -> None:
    file.attrs["PYTABLES_FORMAT_VERSION"] = "2.1"
    file.create_group("df")


CONTAINERS = {"MuData": mudata, "loom": loom, "Seurat": seurat, "10x": tenx, "pandas": pytables}


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("ending", [".h5ad", ".h5"])
def test_other_containers(name: str, ending: str, tmp_path: Path) -> None:
    assert len(CONTAINERS) == len(HDF5_LAYOUTS)
    path = tmp_path / f"x{ending}"
    with h5py.File(path, "w") as file:
        CONTAINERS[name](file)
    for read in (split, read_predictions):
        with pytest.raises(InvalidDataError, match=name):
            read(path)
    assert name in validate(path).findings[0].got


def test_zarr_folder(tmp_path: Path) -> None:
    folder = tmp_path / "x.zarr"
    folder.mkdir()
    (folder / "zarr.json").write_text("{}")
    for read in (split, read_predictions):
        with pytest.raises(InvalidDataError, match="zarr store, but not one of AnnData"):
            read(folder)
    assert [finding.code for finding in validate(folder).errors] == ["file-unreadable"]


def test_content_counts_where_the_ending_says_nothing(small_dataset: Make, tmp_path: Path) -> None:
    small_dataset().write_h5ad(tmp_path / "p.h5")
    assert read_predictions(tmp_path / "p.h5").matrix.shape == (6, 4)
    table = pd.DataFrame({"perturbation": ["A"], "G": [1.0]})
    table.to_parquet(tmp_path / "p.pq", index=False)
    assert list(read_predictions(tmp_path / "p.pq").genes) == ["G"]


LOCKING = """
import h5py, sys
with h5py.File(sys.argv[1], "r+"):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_locked_file_is_not_damaged(small_dataset: Make, tmp_path: Path) -> None:
    path = tmp_path / "x.h5ad"
    small_dataset().write_h5ad(path)
    holder = subprocess.Popen(
        [sys.executable, "-c", LOCKING, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        holder.stdout.readline()
        for read in (split, validate, read_predictions):
            with pytest.raises(UsageError, match="another program") as refused:
                read(path)
            assert "HDF5_USE_FILE_LOCKING=FALSE" in str(refused.value)
            assert refused.value.exit_code == ExitCode.USAGE
    finally:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()
    assert validate(path).valid


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OSError(5, "Input/output error"), MissingFileError, "Input/output"),
        (OSError("file read failed: errno = 116, error message = 'Stale'"), MissingFileError, "S"),
        (OSError("unable to lock file, errno = 37"), UsageError, "HDF5_USE_FILE_LOCKING"),
        (OSError("required filter 'blosc' is not registered"), InvalidDataError, "hdf5plugin"),
        (OSError("truncated file: eof = 96"), InvalidDataError, "cut short"),
        (KeyError("bad symbol"), InvalidDataError, "damaged"),
    ],
)
def test_what_hdf5_says(error: Exception, kind: type[Exception], words: str) -> None:
    problem = hdf5_problem(Path("x.h5ad"), error)
    assert isinstance(problem, kind)
    assert words in str(problem)
