"""Strata of genes and their contributions to MAE, by hand and over random tables."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from pereggrn_data.core.rows.row_blocks import RowSource, StoredMatrix
from pereggrn_data.evaluators.gene_strata import (
    GENE_FEATURES,
    contributions,
    strata_of_genes,
    training_features,
)

pytestmark = pytest.mark.whole_strata

GENES = list("abcd")


def test_training_features_by_hand() -> None:
    x = np.array([[0, 1, 2, -1], [0, 3, 2, -1], [0, 2, 5, -1]], dtype=np.float32)
    for matrix in (x, sparse.csr_matrix(x)):
        frame = training_features(matrix, GENES)
        assert list(frame) == [f.name for f in GENE_FEATURES.values() if f.source == "training"]
        np.testing.assert_allclose(frame["mean"], [0, 2, 3, -1])
        np.testing.assert_allclose(frame["variance"], [0, 2 / 3, 2, 0], atol=1e-12)
        np.testing.assert_allclose(frame["dispersion"], [np.nan, 1 / 3, 2 / 3, np.nan])


@pytest.mark.parametrize("is_sparse", [False, True])
def test_training_data_in_a_file_are_read_in_blocks(
    is_sparse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(2, 1, (30, 4)).astype(np.float32) * (rng.random((30, 4)) < 0.5)
    values = sparse.csr_array(x) if is_sparse else x

    @contextmanager
    def reading() -> Any:
        yield lambda start, stop: values[start:stop]

    def refuse(matrix: StoredMatrix) -> None:
        raise AssertionError("a million cells are read as a whole")

    monkeypatch.setattr(StoredMatrix, "to_memory_dense", refuse)
    found = training_features(StoredMatrix(RowSource(x.shape, x.dtype, is_sparse, reading)), GENES)
    pd.testing.assert_frame_equal(found, training_features(x, GENES))


def test_one_training_observation_varies_in_nothing() -> None:
    frame = training_features(np.array([[1.0, 0, 2, 3]]), GENES)
    assert frame["variance"].tolist() == [0, 0, 0, 0]


def test_contributions_by_hand() -> None:
    """Genes a, b are low, c is high, of d nothing is known; d is scored once only."""
    errors = pd.DataFrame(
        {"mine": [1.0, 2, 3, 4], "mean": [2.0, 2, 2, 2], "median": [4.0, 4, 1, 0]}, index=GENES
    )
    weights = pd.DataFrame({m: [2, 2, 2, 1] for m in errors}, index=GENES)
    feature = pd.DataFrame({"f": [1.0, 2, 9, np.nan]}, index=GENES)
    table = contributions(errors, weights, feature, baselines=["mean", "median"], bins=2)
    by = table.set_index(["stratum", "method"])
    assert by.loc[("1", "mine"), "contribution"] == pytest.approx((2 + 4) / 7)
    assert by.loc[("1", "mine"), "best_baseline"] == "mean"
    assert by.loc[("1", "mine"), "percent_change_from_best_baseline"] == pytest.approx(25)
    assert by.loc[("2", "mine"), "best_baseline"] == "median"
    assert by.loc[("2", "mine"), "percent_change_from_best_baseline"] == pytest.approx(-200)
    assert by.loc[("2", "mine"), "mae"] == pytest.approx(3)
    assert by.loc[("1", "mine"), "high"] == 2
    # The best baseline makes no error there, so nothing is a percentage of it.
    assert pd.isna(by.loc[("unknown", "mine"), "percent_change_from_best_baseline"])
    assert table["is_baseline"].sum() == 6


@given(
    values=st.lists(st.floats(-5, 5) | st.just(float("nan")), min_size=1, max_size=40),
    bins=st.integers(2, 6),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=60)
def test_parts_sum_to_the_whole(values: list[float], bins: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    errors = pd.DataFrame(rng.uniform(0, 1, (len(values), 2)), columns=["mine", "mean"])
    weights = pd.DataFrame(rng.integers(1, 4, (len(values), 1)).repeat(2, axis=1),
                           columns=errors.columns)  # fmt: skip
    table = contributions(
        errors, weights, pd.DataFrame({"f": values}), baselines=["mean"], bins=bins
    )
    total = np.average(errors["mine"], weights=weights["mine"])
    assert table.loc[table["method"] == "mine", "contribution"].sum() == pytest.approx(total)
    strata = strata_of_genes(np.array(values), bins)
    finite = [(v, s) for v, s in zip(values, strata, strict=True) if s != "unknown"]
    assert all(a[1] <= b[1] for a in finite for b in finite if a[0] <= b[0])
