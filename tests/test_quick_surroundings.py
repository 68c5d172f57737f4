"""What tests do without, they do without wherever something is made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from quick_surroundings import FEW_TREES

import pereggrn_data
from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.evaluators import strata
from pereggrn_data.evaluators.metrics import profile_metrics
from pereggrn_data.evaluators.summaries import Resampling


def seen_here() -> tuple[str, int, int]:
    draws = strata.Resampling(["A", "B"], draws=100, seed=0).draws
    return os.environ["XDG_CACHE_HOME"], profile_metrics.N_TREES, draws


@pytest.fixture(scope="module")
def seen() -> tuple[str, int, int]:
    return seen_here()


def test_modules_and_tests_see_the_same(seen: tuple[str, int, int], users_cache: Path) -> None:
    assert seen == seen_here()
    cache, trees, draws = seen
    assert Path(cache).parent == users_cache
    assert trees == FEW_TREES
    assert draws < 100


@pytest.mark.whole_forest
@pytest.mark.whole_strata
def test_marked_tests_are_as_users_are(seen: tuple[str, int, int]) -> None:
    assert os.environ["XDG_CACHE_HOME"] != seen[0]
    assert profile_metrics.N_TREES > FEW_TREES
    assert strata.Resampling is Resampling


def test_datasets_are_checked_again_where_they_differ() -> None:
    adata = pereggrn_data.load("demo")
    for _ in range(2):
        pereggrn_data.split(adata)
    adata.obs["perturbation"] = adata.obs["perturbation"].astype(object)
    adata.obs.iloc[-1, adata.obs.columns.get_loc("perturbation")] = None
    for _ in range(2):
        with pytest.raises(InvalidDataError, match="perturbation"):
            pereggrn_data.split(adata)
