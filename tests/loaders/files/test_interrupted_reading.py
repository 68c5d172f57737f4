"""Ctrl-C and a lack of memory arrive from inside of HDF5: no door takes them for damage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from anndata import AnnData

from pereggrn_data import split, validate
from pereggrn_data.core.foreign_reading import FORMATS, let_through, reading
from pereggrn_data.loaders.files import read_predictions
from pereggrn_data.loaders.files.datasets import read_h5ad

pytestmark = pytest.mark.looks_through

Make = Callable[[], AnnData]

WAYS: dict[str, Callable[[BaseException], BaseException]] = {
    "as it is": lambda error: error,
    "as the cause": lambda error: _caused(OSError("Can't read data"), error),
    "as the cause of a cause": lambda error: _caused(
        ValueError("no column"), _caused(SystemError("an error is set"), error)
    ),
}


def _caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


DOORS: dict[str, Callable[[Path], Any]] = {
    "validate": validate,
    "split": split,
    "read_h5ad": read_h5ad,
    "read_predictions": read_predictions,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("door", DOORS)
def test_what_is_raised_inside_of_a_read_arrives(
    door: str,
    kind: type[BaseException],
    way: str,
    small_dataset: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At reads all along the walk through a file, one after the other."""
    path = tmp_path / "d.h5ad"
    small_dataset().write_h5ad(path)
    read = h5py.Dataset.__getitem__
    count = at = 0

    def interrupted(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count == at:
            raise WAYS[way](kind("now"))
        return read(self, *args, **kwargs)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", interrupted)
    DOORS[door](path)
    n = count
    assert n > 5
    for number in np.unique(np.linspace(1, n, 12).astype(int)).tolist():
        count, at = 0, number
        with pytest.raises(kind, match="now"):
            DOORS[door](path)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError])
def test_the_guard_at_the_doors_lets_it_through(kind: type[BaseException]) -> None:
    with pytest.raises(kind), reading("x.h5ad", FORMATS["h5ad"]):
        raise OSError("Can't read data") from kind("now")
    let_through(_caused(OSError("Can't read data"), ValueError("other")))


def test_an_error_that_is_its_own_cause_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    let_through(first)
