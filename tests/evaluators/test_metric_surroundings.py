"""Metrics that look at the training data or at replicates of the truth, against other software."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats
from sklearn.metrics import r2_score

from pereggrn_data.evaluators.metrics.compute import compute_metrics
from pereggrn_data.evaluators.metrics.definitions import METRICS
from pereggrn_data.evaluators.metrics.metric_surroundings import (
    Surroundings,
    deg_weights,
    t_scores,
)


def values(o: Any, e: Any, around: Surroundings, left_out: Any = None) -> dict[str, Any]:
    return compute_metrics(o, {"p": e}, left_out, around=around, threads=1)["p"]


def surroundings(genes: int, **known: Any) -> Surroundings:
    nothing = np.zeros(genes)
    return Surroundings(known.pop("reference", nothing), known.pop("controls", nothing), **known)


@pytest.mark.parametrize("as_matrix", [np.asarray, sparse.csr_array, sparse.csr_matrix])
def test_t_scores_are_welch_with_the_groups_own_size(as_matrix: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 5)).astype(np.float32)
    x[:, 4] = 1.1  # does not vary at all
    groups = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3, -1, 0])
    contexts = np.array([0, 0, 0, 0])
    got = t_scores(as_matrix(x), groups, 4, contexts)
    wide = x.astype(float)
    for k in (0, 1, 2):
        a, b = wide[groups == k], wide[(groups != k) & (groups >= 0)]
        expected = stats.ttest_ind_from_stats(
            a.mean(0)[:4], a.std(0, ddof=1)[:4], len(a),
            b.mean(0)[:4], b.std(0, ddof=1)[:4], len(a), equal_var=False,
        ).statistic  # fmt: skip
        np.testing.assert_allclose(got[k, :4], expected, rtol=1e-9)
        assert got[k, 4] == 0
    assert np.isnan(got[3]).all()  # one observation


def test_others_are_those_of_the_same_context() -> None:
    rng = np.random.default_rng(0)
    x, groups = rng.normal(size=(12, 4)), np.repeat(np.arange(4), 3)
    got = t_scores(x, groups, 4, np.array([0, 0, 1, 1]))
    first = t_scores(x[:6], groups[:6], 2, np.zeros(2, int))
    np.testing.assert_allclose(got[:2], first)
    assert np.isnan(t_scores(x[:3], groups[:3], 1, np.zeros(1, int))).all()


def test_weights_by_hand() -> None:
    got = deg_weights(np.array([[1.0, -3.0, 2.0, np.nan], [2.0, 2, -2, 2], [np.nan] * 4]))
    np.testing.assert_allclose(got[0], [0, 0.8, 0.2, 0])
    np.testing.assert_allclose(got[1], 0.25)
    assert np.isnan(got[2]).all()
    hidden = np.array([[False, True, False, False]])
    np.testing.assert_allclose(deg_weights(np.array([[1.0, -3, 2, 1]]), hidden), [[0, 0, 1, 0]])


@given(seed=st.integers(0, 9999), genes=st.integers(3, 30))
@settings(max_examples=25, deadline=None)
def test_weighted_metrics_equal_other_software(seed: int, genes: int) -> None:
    rng = np.random.default_rng(seed)
    o, e, t = rng.normal(size=(3, 4, genes))
    around = surroundings(genes, t_scores=t)
    got = values(o, e, around)
    size = np.abs(t)
    low, high = size.min(1, keepdims=True), size.max(1, keepdims=True)
    w = ((size - low) / (high - low)) ** 2
    for i in range(4):
        error = np.average((o[i] - e[i]) ** 2, weights=w[i])
        assert got["weighted_mse"][i] == pytest.approx(error)
        r2 = r2_score(o[i], e[i], sample_weight=w[i])
        assert got["weighted_r2"][i] == pytest.approx(r2)
        covariance = np.cov(o[i], e[i], aweights=w[i])
        r = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
        assert got["weighted_pearson"][i] == pytest.approx(r)
        assert got["r2"][i] == pytest.approx(r2_score(o[i], e[i]))


def test_weights_need_replicates() -> None:
    o = np.random.default_rng(0).normal(size=(2, 5))
    t = np.vstack([np.full(5, np.nan), np.arange(5.0)])
    got = values(o, o, surroundings(5, t_scores=t))
    for name in ("weighted_mse", "weighted_r2", "weighted_pearson"):
        assert np.isnan(got[name]).tolist() == [True, False]
        assert np.isnan(values(o, o, surroundings(5))[name]).all()


def test_pearson_over_the_training_perturbations() -> None:
    rng = np.random.default_rng(0)
    control, perturbed = rng.normal(size=(2, 6)) + 3
    x, predicted = rng.normal(size=(2, 2, 6)) + 3
    around = surroundings(6, reference=control, perturbed_mean=perturbed)
    got = values(x - control, predicted - control, around)["pearson_perturbed_reference"]
    for i in range(2):
        r = stats.pearsonr(x[i] - perturbed, predicted[i] - perturbed)[0]
        assert got[i] == pytest.approx(r)
    # Their own mean has no effect over itself, so no correlation; rounding is none.
    alike = np.tile(np.float32(perturbed) - control, (2, 1))
    missing = values(x - control, alike, around)["pearson_perturbed_reference"]
    assert np.isnan(missing).all()
    without = surroundings(6, reference=control)
    nothing = values(x - control, predicted - control, without)["pearson_perturbed_reference"]
    assert np.isnan(nothing).all()


def test_expressed_genes_are_highest_in_the_controls() -> None:
    """The 1,000 of 1,203 genes; of equally high ones the first."""
    rng = np.random.default_rng(0)
    o, e = rng.normal(size=(2, 2, 1203))
    controls = np.r_[np.full(600, 5.0), np.zeros(3), np.full(600, 2.0)]
    chosen = np.r_[0:600, 603:1003]
    got = values(o, e, surroundings(1203, controls=controls))
    for i in range(2):
        assert got["l2_expressed_1000"][i] == pytest.approx(np.linalg.norm((o - e)[i, chosen]))
        r = stats.pearsonr(o[i, chosen], e[i, chosen])[0]
        assert got["pearson_expressed_1000"][i] == pytest.approx(r)


def test_a_new_definition_spoils_only_its_own_scores(monkeypatch: Any) -> None:
    from dataclasses import replace

    from pereggrn_data.evaluators.metrics.definitions import definitions_version

    assert definitions_version() == "1"
    monkeypatch.setitem(METRICS, "mae", replace(METRICS["mae"], version=3))
    assert definitions_version() == "1,mae=3"
