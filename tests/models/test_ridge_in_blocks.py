"""Ridge regression of rows that are not in memory is that of the same rows in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from pereggrn_data.core.resources import Resources
from pereggrn_data.core.rows.row_blocks import RowSource, StoredMatrix
from pereggrn_data.models.inputs import HeldLevels
from pereggrn_data.models.regression import RegressionTask
from pereggrn_data.models.ridge import primal
from pereggrn_data.models.ridge.ridge_cv import fit_ridge_cv, fit_ridge_cv_extra_penalty
from pereggrn_data.models.stored_columns import StoredColumns

N, GENES, P = 150, 30, 12


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make blocks of a few rows, targets and decompositions."""
    monkeypatch.setattr(Resources, "values_in_a_block", 7 * GENES)
    monkeypatch.setattr(Resources, "memory_bytes", 20_000)


class Stored:
    """A matrix that is read in blocks, and counts how often it is."""

    def __init__(self, values: Any) -> None:
        self.n_readings = 0

        @contextmanager
        def reading() -> Iterator[Any]:
            self.n_readings += 1
            yield lambda start, stop: values[start:stop]

        is_sparse = bool(sparse.issparse(values))
        self.matrix = StoredMatrix(RowSource(values.shape, values.dtype, is_sparse, reading))


def both(seed: int, *, is_sparse: bool = False, shuffled: bool = False) -> Any:
    """Return a task in memory, the same one not in memory, and what counts its readings."""
    rng = np.random.default_rng(seed)
    # Sums of squares of the values themselves are much larger than those around the mean.
    factors = rng.normal(size=(N, 6)) @ rng.normal(size=(6, GENES))
    values = factors * np.linspace(0, 1, GENES) + rng.normal(size=(N, GENES))
    values = (np.maximum(values, 0) if is_sparse else values + 50.0).astype(np.float32)
    columns = rng.permutation(GENES)[:P]
    own = np.full(GENES, -1)
    own[columns] = np.arange(P)
    rows = np.sort(rng.permutation(N)[:70])
    # Of genes that are features and others; some in several observations at once.
    excluded = {int(j): np.sort(rows[k * 4 : k * 4 + 4]) for k, j in enumerate(columns[:6])}
    excluded[int(columns[7])] = excluded[int(columns[1])]
    excluded[int(columns[8])] = np.arange(10, 70)
    others = np.setdiff1d(np.arange(GENES), columns)
    excluded[int(others[0])] = np.arange(60)
    excluded[int(others[1])] = np.arange(10, 70)
    excluded[int(others[2])] = np.delete(np.arange(N), np.arange(80, 110))
    excluded[int(others[3])] = np.array([0, 149])
    excluded[int(others[4])] = np.arange(1, N)
    at = np.array([(i, own[j]) for j, r in excluded.items() if own[j] >= 0 for i in r[:5]])
    at = at[np.lexsort((at[:, 1], at[:, 0]))]
    levels = HeldLevels(at[:, 0], at[:, 1], rng.normal(size=len(at)), 0)
    features = values[:, columns].astype(np.float64)
    levels.hold(features)
    names = tuple(f"G{j}" for j in range(GENES))
    held = RegressionTask(features, values, names, own, excluded)
    order = rng.permutation(N) if shuffled else np.arange(N)
    placed = np.empty_like(values)
    placed[order] = values
    stored = Stored(sparse.csr_array(placed) if is_sparse else placed)
    matrix = stored.matrix[order]
    x = StoredColumns(matrix, columns, levels)
    y = StoredColumns(matrix, np.arange(GENES))
    return held, replace(held, features=x, responses=y), stored


def assert_the_same(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(found.alphas, expected.alphas)
    np.testing.assert_allclose(
        found.dense_coefficients(), expected.dense_coefficients(), rtol=1e-8, atol=1e-11
    )
    np.testing.assert_allclose(found.intercepts, expected.intercepts, rtol=1e-8)


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_they_are_the_same(seed: int, *, is_sparse: bool, shuffled: bool) -> None:
    held, stored, _ = both(seed, is_sparse=is_sparse, shuffled=shuffled)
    expected = fit_ridge_cv(held)
    assert len(set(expected.alphas[~np.isnan(expected.alphas)])) > 1
    assert_the_same(fit_ridge_cv(stored), expected)


@pytest.mark.usefixtures("little")
def test_a_gene_may_predict_itself_and_extra_penalties_go_in_blocks() -> None:
    held, stored, _ = both(2)
    everything = np.full(GENES, -1)
    found = fit_ridge_cv(replace(stored, own=everything))
    assert_the_same(found, fit_ridge_cv(replace(held, own=everything)))
    arguments = {"alphas": [0.1, 1.0]}
    expected = fit_ridge_cv_extra_penalty(replace(held, arguments=arguments))
    assert (expected.alphas > 1.0).any()
    assert_the_same(fit_ridge_cv_extra_penalty(replace(stored, arguments=arguments)), expected)


@pytest.mark.usefixtures("little")
def test_without_features_genes_get_their_means() -> None:
    held, stored, _ = both(3)
    levels = HeldLevels(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0), 0)
    own, columns = np.full(GENES, -1), np.empty(0, np.intp)
    nothing = StoredColumns(stored.features.matrix, columns, levels)
    expected = fit_ridge_cv(replace(held, features=held.features[:, columns], own=own))
    found = fit_ridge_cv(replace(stored, features=nothing, own=own))
    np.testing.assert_allclose(found.intercepts, expected.intercepts, rtol=1e-12)


def test_it_is_read_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for sums, once for rows left out, once for residuals; twice for decompositions."""
    _, stored, counted = both(4)
    groups = primal._apart(primal.RidgeProblem(stored.features, stored.responses, stored.own,
                                               stored.excluded))  # fmt: skip
    assert len(groups) > 2
    fit_ridge_cv(stored)
    means = 1  # of the gene that hardly any observation trains
    assert counted.n_readings == means + 3 + 2
    monkeypatch.setattr(Resources, "memory_bytes", 2 * 8 * 8 * P * P)
    monkeypatch.setattr(primal, "_most_at_once", lambda _: (GENES, N))
    counted.n_readings = 0
    fit_ridge_cv(stored)
    assert counted.n_readings == means + 3 + 2 * -(-len(groups) // 2)
