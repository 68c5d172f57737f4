"""What tests do without, so that they are quick, and leave alone what is the user's.

A plugin, loaded by conftest.py. What a module's tests share is made before the fixtures of
a single test, so the same holds for modules, too, by their own marks.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FEW_TREES = 5
FEW_DRAWS = 50

_found_before: dict[bytes, Any] = {}


@cache
def _whole() -> dict[str, Any]:
    """Return what is replaced, as it is when the first test begins."""
    from pereggrn_data.evaluators import strata
    from pereggrn_data.evaluators.metrics import profile_metrics
    from pereggrn_data.loaders.files.hdf5 import separate_reading
    from pereggrn_data.pipelines.collection import open_datasets

    return {
        "trees": profile_metrics.N_TREES,
        "resampling": strata.Resampling,
        "ways": {how: getattr(separate_reading, how) for how in ("_forked", "_spawned")},
        "check": open_datasets.check_usable,
        "parts": open_datasets.parts_in_memory,
    }


@pytest.fixture(scope="session")
def users_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder where the user's cache would be: calibrations are kept from test to test."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", autouse=True)
def _surroundings_of_the_module(
    request: pytest.FixtureRequest, users_cache: Path
) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        _surround(request.node, patch, users_cache)
        yield


@pytest.fixture(autouse=True)
def _surroundings(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, users_cache: Path
) -> None:
    _surround(request.node, monkeypatch, users_cache)


def _surround(node: Any, patch: pytest.MonkeyPatch, users_cache: Path) -> None:
    from pereggrn_data.evaluators import strata
    from pereggrn_data.evaluators.metrics import profile_metrics
    from pereggrn_data.loaders.files.hdf5 import separate_reading
    from pereggrn_data.pipelines.collection import open_datasets

    whole = _whole()

    def is_marked(mark: str) -> bool:
        return node.get_closest_marker(mark) is not None

    # The user's own settings stay out of the tests, and the tests out of the user's cache.
    # What is told by all trees is not taken from what was calibrated by a few.
    kept = "by all trees" if is_marked("whole_forest") else "by few trees"
    patch.setenv("XDG_CACHE_HOME", str(users_cache / kept))
    for name in ("PEREGGRN_COLLECTION", "PEREGGRN_CACHE", "PEREGGRN_BASE_URL"):
        patch.delenv(name, raising=False)
    # Most scores are made for something else than labels of cells told by many trees, and
    # the intervals of strata, of which each has many.
    trees = whole["trees"] if is_marked("whole_forest") else FEW_TREES
    patch.setattr(profile_metrics, "N_TREES", trees)
    resampling = whole["resampling"]
    patch.setattr(
        strata, "Resampling", resampling if is_marked("whole_strata") else _with_few(resampling)
    )
    # HDF5 files are taken for harmless: looking through each forks this large process. Tests
    # of files that do harm, or of what happens to a file before it is read, are marked. All
    # that reading itself refuses, damage among it, is refused all the same.
    for how, looks in whole["ways"].items():
        fine = looks if is_marked("looks_through") else lambda *_: separate_reading.Ending.FINE
        patch.setattr(separate_reading, how, fine)
    patch.setattr(open_datasets, "parts_in_memory", lambda dataset: dataset)
    patch.setattr(open_datasets, "check_usable", _checked_once)


def _with_few(resampling: Callable[..., Any]) -> Callable[..., Any]:
    def few(*given: Any, draws: int, **more: Any) -> Any:
        return resampling(*given, draws=min(draws, FEW_DRAWS), **more)

    return few


def _checked_once(dataset: Any, *how: Any) -> Any:
    """Check a dataset in memory once: most tests open the embedded one, and anew.

    What is found depends on what the dataset holds, and on nothing else.
    """
    import numpy as np

    check, parts_of = _whole()["check"], _whole()["parts"]
    raw = dataset.raw
    held = dataset.X, None if raw is None else raw.X
    if not all(x is None or type(x) is np.ndarray for x in held):
        return check(parts_of(dataset), *how)
    names = None if raw is None else raw.var
    said = pickle.dumps((*held, names, dataset.obs, dataset.var, dict(dataset.uns), how))
    key = hashlib.sha256(said).digest()
    if key not in _found_before:
        _found_before[key] = check(parts_of(dataset), *how)
    return list(_found_before[key])
