"""Damaged files are findings, whatever HDF5 raises for them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from anndata import AnnData
from scipy import sparse

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.pipelines.collection import open_dataset

pytestmark = pytest.mark.looks_through

Make = Callable[[], AnnData]

FUZZ = """
import random, sys
from pathlib import Path
from pereggrn_data import validate

source, target, done = map(Path, sys.argv[1:])
good = source.read_bytes()
rng = random.Random(0)
cases = [(rng.randrange(len(good)), rng.randrange(1, 256)) for _ in range(300)]
cases += [(rng.randrange(len(good)), 0) for _ in range(60)]
for k, (at, flip) in enumerate(cases):
    if k < int(done.read_text()):
        continue
    done.write_text(str(k + 1))
    bad = bytearray(good)
    if flip:
        bad[at] ^= flip
    else:
        bad = bad[:at]
    target.write_bytes(bad)
    report = validate(target)
    assert flip or not report.valid, at
    assert repr(report) and report.to_dict()
"""
CASES = 360
CRASHES_OF_HDF5 = 6
"""Some damage makes the HDF5 library itself crash or never return; we cannot catch that."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dataset", "predictions"])
def test_flipped_and_missing_bytes(small_dataset: Make, tmp_path: Path, kind: str) -> None:
    source, target, done = (tmp_path / n for n in ("good.h5ad", "bad.h5ad", "done"))
    adata = small_dataset()
    adata.obs["cell_type"] = "x"
    adata.obs["timepoint"] = 1.0
    if kind == "predictions":
        adata.uns["pereggrn"] = "{}"
    adata.write_h5ad(source)
    done.write_text("0")
    crashes = 0
    while int(done.read_text()) < CASES:
        try:
            ran = subprocess.run(
                [sys.executable, "-W", "error", "-c", FUZZ, *map(str, (source, target, done))],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        except subprocess.TimeoutExpired:
            crashes += 1
            continue
        assert ran.returncode <= 0, ran.stderr[-2000:]
        crashes += ran.returncode < 0
        assert crashes <= CRASHES_OF_HDF5


@pytest.mark.parametrize("element", ["obs/perturbation", "X", "uns", "var/_index", "raw/X"])
def test_broken_link(small_dataset: Make, tmp_path: Path, element: str) -> None:
    """A link to nowhere raises KeyError or RuntimeError, from one h5py to the next."""
    import h5py

    from pereggrn_data import validate

    path = tmp_path / "d.h5ad"
    small_dataset().write_h5ad(path)
    with h5py.File(path, "a") as file:
        del file[element]
        file[element] = h5py.SoftLink("/nowhere")
    assert not validate(path).valid


@pytest.mark.parametrize("part", ["data", "indices", "indptr"])
def test_parts_of_a_sparse_matrix_that_are_no_lists(
    small_dataset: Make, tmp_path: Path, part: str
) -> None:
    import h5py

    from pereggrn_data import validate

    path = tmp_path / "d.h5ad"
    adata = small_dataset()
    adata.X = sparse.csc_matrix(adata.X)
    adata.write_h5ad(path)
    with h5py.File(path, "a") as file:
        del file[f"X/{part}"]
        file["X"].create_group(part)
    assert [finding.code for finding in validate(path).errors] == ["element-unreadable"]
    with pytest.raises(InvalidDataError, match="not all lists"):
        open_dataset(str(path))


def test_sizes_that_ask_for_any_memory(small_dataset: Make, tmp_path: Path) -> None:
    """They are the file's fault, and said to be; a lack of memory while reading is not."""
    import h5py

    from pereggrn_data import validate

    path = tmp_path / "d.h5ad"
    adata = small_dataset()
    adata.X = sparse.csr_matrix(adata.X)
    adata.write_h5ad(path)
    with h5py.File(path, "a") as file:
        del file["X/indptr"]
        file["X"].create_dataset("indptr", (2**60,), "i8", chunks=(1024,))
    assert [finding.code for finding in validate(path).errors] == ["element-unreadable"]
    with pytest.raises(InvalidDataError, match="far longer"):
        open_dataset(str(path))
