"""Mean and median of the training data, without a gene's own perturbations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from pereggrn_data.core.baselines import training_mean, training_median
from pereggrn_data.core.labels import genes_of

GENES = np.array(["A", "B", "C"], dtype=object)


@given(
    labels=st.lists(st.sampled_from(["A", "B", "A,C", "ctrl", "X"]), min_size=1, max_size=12),
    seed=st.integers(0, 100),
    as_sparse=st.booleans(),
)
@settings(max_examples=60)
def test_equal_a_loop_over_genes(labels: list[str], seed: int, as_sparse: bool) -> None:
    matrix = np.random.default_rng(seed).poisson(1, size=(len(labels), 3)).astype(np.float32)
    given_as = sparse.csr_matrix(matrix) if as_sparse else matrix
    for compute, summarise in ((training_mean, np.mean), (training_median, np.median)):
        result = compute(given_as, np.array(labels, dtype=object), GENES)
        for j, gene in enumerate(GENES):
            kept = [
                row[j]
                for row, label in zip(matrix, labels, strict=True)
                if gene not in genes_of(label)
            ]
            expected = summarise(np.array(kept, dtype=float)) if kept else np.nan
            assert result[j] == pytest.approx(expected, nan_ok=True)


def test_by_hand() -> None:
    matrix = np.array([[1.0, 10, 0], [3, 20, 0], [100, 60, 9]])
    labels = np.array(["ctrl", "ctrl", "A,C"], dtype=object)
    assert training_mean(matrix, labels, GENES).tolist() == [2.0, 30.0, 0.0]
    assert training_median(matrix, labels, GENES).tolist() == [2.0, 20.0, 0.0]


def test_many_genes_in_blocks() -> None:
    matrix = np.random.default_rng(0).normal(size=(7, 1000))
    labels = np.array(["ctrl"] * 7, dtype=object)
    genes = np.array([f"g{i}" for i in range(1000)], dtype=object)
    np.testing.assert_allclose(training_median(matrix, labels, genes), np.median(matrix, axis=0))


def test_sparse_float32_is_summed_in_float64() -> None:
    matrix = np.random.default_rng(0).gamma(2, 1, size=(5000, 3)).astype(np.float32)
    labels = np.array(["ctrl"] * len(matrix), dtype=object)
    exact = matrix.astype(np.float64).mean(axis=0)
    mean = training_mean(sparse.csr_matrix(matrix), labels, GENES)
    np.testing.assert_allclose(mean, exact, rtol=1e-14)
