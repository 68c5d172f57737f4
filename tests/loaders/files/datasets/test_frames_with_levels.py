"""AnnData and tables as people hold them in memory: backed by a file, or with several levels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from pereggrn_data import split, validate
from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.loaders.files import predictions_of
from pereggrn_data.loaders.files.datasets import write_h5ad

Make = Callable[[], AnnData]


def test_backed_data_are_split_as_those_in_memory(small_dataset: Make, tmp_path: Path) -> None:
    path = tmp_path / "d.h5ad"
    small_dataset().write_h5ad(path)
    backed = anndata.read_h5ad(path, backed="r")
    made, wanted = split(backed), split(anndata.read_h5ad(path))
    assert made.split == wanted.split
    assert predictions_of(backed).matrix.shape == (6, 4)
    assert validate(backed).valid
    backed.file.close()


def test_levels_of_rows_that_are_labels_become_columns() -> None:
    levels = pd.MultiIndex.from_tuples(
        [("A", "x"), ("B", "x")], names=["perturbation", "cell_type"]
    )
    read = predictions_of(pd.DataFrame({"G": [1.0, 2.0]}, index=levels))
    assert list(read.obs["perturbation"]) == ["A", "B"]
    assert list(read.obs["cell_type"]) == ["x", "x"]
    assert list(read.genes) == ["G"]
    assert not read.has_row_names


@pytest.mark.parametrize("axis", ["rows", "columns"])
def test_other_levels_are_refused(axis: str) -> None:
    frame = pd.DataFrame(np.ones((2, 2)), index=list("AB"), columns=list("GH"))
    levels = pd.MultiIndex.from_tuples([("a", "1"), ("b", "2")])
    frame = frame.set_axis(levels, axis="index" if axis == "rows" else "columns")
    with pytest.raises(InvalidDataError, match=f"The {axis} .* 2 levels"):
        predictions_of(frame)


@pytest.mark.parametrize("slot", ["obs", "var"])
def test_names_of_several_levels_are_refused(slot: str, small_dataset: Make) -> None:
    adata = small_dataset()
    frame = getattr(adata, slot)
    frame.index = pd.MultiIndex.from_tuples([(str(i), "x") for i in range(len(frame))])
    for read in (split, validate, predictions_of):
        with pytest.raises(InvalidDataError, match=f"rows of {slot} of the AnnData"):
            read(adata)


@pytest.mark.parametrize(
    ("column", "where"),
    [
        ([1, "a"], "/obs/odd"),
        (pd.to_timedelta([1, 2], unit="h"), "/obs/odd"),
        (pd.IntervalIndex.from_tuples([(0, 1), (1, 2)]), "/obs/odd"),
        (pd.Categorical([1, "a"]), "/obs/odd"),
        (None, "/obs"),  # an index that is called as another column
    ],
)
def test_columns_that_no_file_can_hold_are_named(
    small_dataset: Make, tmp_path: Path, column: Any, where: str
) -> None:
    adata = small_dataset()
    if column is None:
        adata.obs.index.name = "perturbation"
    else:
        adata.obs["odd"] = pd.Series(column).take(np.arange(adata.n_obs) % 2).array
    with pytest.raises(InvalidDataError, match="cannot be stored in an") as caught:
        write_h5ad(adata, tmp_path / "out.h5ad")
    assert where in str(caught.value)
    assert not list(tmp_path.iterdir())
