"""Properties of every registered metric, and agreement with scipy and the original software."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse, stats

from pereggrn_data.core.errors import UnknownNameError
from pereggrn_data.evaluators.metrics.compute import block_metrics, compute_metrics
from pereggrn_data.evaluators.metrics.definitions import METRICS, metric
from pereggrn_data.evaluators.metrics.effects import (
    average_ranks,
    largest_rounded_to_zero,
    top_masks,
)
from pereggrn_data.evaluators.metrics.metric import Direction, Metric, Needs
from pereggrn_data.evaluators.metrics.metric_surroundings import Surroundings
from pereggrn_data.evaluators.metrics.profile_metrics import (
    Profiles,
    Training,
    cell_label_accuracy,
    distance_in_pca,
    principal_components,
)

GENE_METRICS = block_metrics()
WHOLE_METRICS = [m for m in METRICS.values() if m.compute_whole is not None]
WITH_BEST = [m for m in GENE_METRICS if m.best is not None]
names = [m.name for m in GENE_METRICS]

values = st.floats(-5, 5).map(lambda x: round(x, 3))
matrices = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=30).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(float, shape, elements=values),
        hnp.arrays(float, shape, elements=values),
        hnp.arrays(bool, shape),
    )
)


def surroundings(o: Any, e: Any) -> Surroundings:
    """Make up training data and t scores, gene by gene, from O: they move with the genes."""
    level = np.abs(np.sin(37 * o[0] + 11 * e[0]))
    return Surroundings(level, level, np.cos(level * 5), np.round(3 * np.tanh(o), 3))


def every(
    o: Any,
    e: Any,
    left_out: Any = None,
    threads: int = 1,
    around: Surroundings | None = None,
    metrics: Sequence[Metric] = GENE_METRICS,
) -> list[tuple[Metric, Any]]:
    """Return each metric with its values, (groups,)."""
    o, e = np.atleast_2d(o).astype(float), np.atleast_2d(e).astype(float)
    around = surroundings(o, e) if around is None else around
    made = compute_metrics(o, {"p": e}, left_out, metrics=metrics, around=around, threads=threads)
    return [(m, made["p"][m.name]) for m in metrics]


def one(m: Metric, o: Any, e: Any, left_out: Any = None, **more: Any) -> Any:
    return every(o, e, left_out, metrics=[m], **more)[0][1]


def some(around: Surroundings, rows: Any, genes: Any) -> Surroundings:
    """Keep some rows and genes."""
    assert around.perturbed_mean is not None
    assert around.t_scores is not None
    return Surroundings(
        around.reference[genes],
        around.control_mean[genes],
        around.perturbed_mean[genes],
        around.t_scores[rows][:, genes],
    )


def test_the_registry_has_all_metrics_of_the_paper_and_more() -> None:
    table_3 = {
        "proportion_correct_direction", "spearman", "mae", "mse", "mse_top_100",
        "pearson_top_100", "overlap_top_100", "cell_label_accuracy",
    }  # fmt: skip
    assert table_3 <= set(METRICS)
    for name, m in METRICS.items():
        assert m.name == name
        assert m.formula
        assert m.description.endswith(".")
        assert m.undefined_when
        assert m.source
        assert (m.direction is None) == (m.best is None)
        assert m.compute is not None or m.needs is not Needs.GENES
        assert [m.compute, m.compute_whole, m.compute_cells].count(None) == 2
        assert m.version >= 1
        assert m.describe()["name"] == name
    with pytest.raises(UnknownNameError, match="did you mean spearman"):
        metric("spearmann")


@pytest.mark.parametrize("m", WITH_BEST, ids=lambda m: m.name)
@pytest.mark.parametrize("genes", [2, 19, 20, 27, 99, 150, 250])
def test_perfect_prediction_is_best(m: Metric, genes: int) -> None:
    o = np.random.default_rng(genes).normal(size=(4, genes))
    assert m.best is not None
    if genes == 2 and m.best(2) == 1 and m.needs is Needs.WEIGHTS:
        # The surest gene has all the weight, so nothing varies.
        assert np.isnan(one(m, o, o)).all()
        return
    np.testing.assert_allclose(one(m, o, o), m.best(genes), atol=1e-12)


def a_profile(o: Any, e: Any, left_out: Any = None) -> Profiles:
    """O and E over training data in which two labels and several components vary."""
    import pandas as pd

    rng = np.random.default_rng(7)
    train = rng.normal(size=(12, o.shape[1])) + np.repeat([[0.0], [2.0]], 6, axis=0)
    training = Training(train, pd.Series(["a"] * 6 + ["b"] * 6))
    return Profiles(training, train.mean(axis=0), o, {"p": e}, left_out)


@pytest.mark.parametrize("m", WHOLE_METRICS, ids=lambda m: m.name)
@pytest.mark.parametrize("seed", range(5))
def test_metrics_of_whole_profiles(m: Metric, seed: int) -> None:
    """Bounds hold, the truth is best, left-out genes do not matter, order neither."""
    rng = np.random.default_rng(seed)
    o, e = rng.normal(size=(6, 9)), rng.normal(size=(6, 9))
    left_out = (rng.random((6, 9)) < 0.3) & (np.arange(9) > 3)
    assert m.compute_whole is not None
    result = m.compute_whole(a_profile(o, e, left_out))[0]["p"]
    assert result.shape == (6,)
    assert np.isfinite(result).all()
    if m.lower is not None:
        assert (result >= m.lower).all()
    if m.upper is not None:
        assert (result <= m.upper).all()
    other = np.where(left_out, 99.0, e)
    np.testing.assert_allclose(m.compute_whole(a_profile(o, other, left_out))[0]["p"], result)
    turned = m.compute_whole(a_profile(o[::-1], e[::-1], left_out[::-1]))[0]["p"]
    np.testing.assert_allclose(turned[::-1], result)
    if m.best is not None:
        truth = m.compute_whole(a_profile(o, o.copy()))[0]["p"]
        np.testing.assert_allclose(truth, m.best(9), atol=1e-12)


@given(data=matrices)
def test_bounds_hold(data: Any) -> None:
    o, e, left_out = data
    for m, result in every(o, e, left_out):
        note(m.name)
        defined = result[np.isfinite(result)]
        assert np.isfinite(result).sum() == (~np.isnan(result)).sum()
        if m.lower is not None:
            assert (defined >= m.lower).all()
        if m.upper is not None:
            assert (defined <= m.upper).all()
        if m.best is not None:
            n = (~left_out).sum(axis=1)[np.isfinite(result)]
            best = np.array([m.best(int(k)) for k in n])
            higher = m.direction is Direction.HIGHER
            assert not (defined > best + 1e-12 if higher else defined < best - 1e-12).any()


@given(data=matrices, seed=st.integers(0, 99))
def test_shuffling_genes_changes_nothing(data: Any, seed: int) -> None:
    o, e, left_out = data
    order = np.random.default_rng(seed).permutation(o.shape[1])
    around = some(surroundings(o, e), slice(None), order)
    shuffled = every(o[:, order], e[:, order], left_out[:, order], around=around)
    for (m, before), (_, after) in zip(every(o, e, left_out), shuffled, strict=True):
        note(m.name)
        np.testing.assert_allclose(after, before, rtol=1e-7, atol=1e-9)


@given(data=matrices)
def test_left_out_genes_do_not_matter(data: Any) -> None:
    """Scoring with entries left out is scoring without these genes."""
    o, e, left_out = data
    with_mask = every(o, e, left_out)
    for i in range(len(o)):
        kept = ~left_out[i]
        if not kept.any():
            assert all(np.isnan(result[i]) for _, result in with_mask)
            continue
        around = some(surroundings(o, e), [i], kept)
        without = every(o[i, kept], e[i, kept], around=around)
        for (m, masked), (_, alone) in zip(with_mask, without, strict=True):
            note(m.name)
            np.testing.assert_allclose(masked[i], alone[0], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("m", GENE_METRICS, ids=lambda m: m.name)
def test_blocks_and_threads_change_nothing(m: Metric) -> None:
    rng = np.random.default_rng(1)
    o, e = rng.normal(size=(300, 500)), rng.normal(size=(300, 500))
    together = one(m, o, e, threads=2)
    around = surroundings(o, e)
    alone = np.array(
        [one(m, o[i], e[i], around=some(around, [i], slice(None)))[0] for i in range(0, 300, 37)]
    )
    np.testing.assert_allclose(together[::37], alone, rtol=1e-12)


@pytest.mark.parametrize("m", GENE_METRICS, ids=lambda m: m.name)
def test_undefined_is_missing_never_zero(m: Metric) -> None:
    """Without a gene to score no metric has a value."""
    o = np.ones((2, 3))
    assert np.isnan(one(m, o, o, np.ones((2, 3), bool))).all()


@pytest.mark.parametrize("name", ["spearman", "pearson", "pearson_top_100"])
def test_correlation_with_a_constant_is_missing(name: str) -> None:
    o = np.arange(5.0)
    assert np.isnan(one(METRICS[name], o, np.full(5, 0.1) + 0.2)).all()
    assert np.isnan(one(METRICS[name], o, np.zeros(5))).all()
    assert np.isnan(one(METRICS[name], np.ones(1), np.ones(1))).all()


@given(data=matrices)
@settings(max_examples=50, deadline=None)
def test_agreement_with_scipy(data: Any) -> None:
    o, e, _ = data
    ours = compute_metrics(o, {"p": e}, threads=1)["p"]
    for i, (x, y) in enumerate(zip(o, e, strict=True)):
        if len(x) > 1 and np.ptp(x) > 0 and np.ptp(y) > 0:
            assert ours["spearman"][i] == pytest.approx(stats.spearmanr(x, y)[0], abs=1e-9)
            assert ours["pearson"][i] == pytest.approx(stats.pearsonr(x, y)[0], abs=1e-9)
        sx, sy = np.sign(np.round(x, 2)), np.sign(np.round(y, 2))
        table = stats.contingency.crosstab(sx, sy).count
        chi2 = stats.chi2_contingency(table).pvalue
        assert ours["pvalue_effect_direction"][i] == pytest.approx(chi2, abs=1e-12)
        classes = [x[sy == s] for s in (1, 0, -1) if (sy == s).any()]
        if len(classes) > 1 and len(x) > len(classes) and all(np.ptp(c) > 0 for c in classes):
            anova = stats.f_oneway(*classes).pvalue
            assert ours["pvalue_targets_vs_non_targets"][i] == pytest.approx(anova, rel=1e-6)
            gap = classes[0].mean() - classes[-1].mean()
            assert ours["fc_targets_vs_non_targets"][i] == pytest.approx(gap, abs=1e-9)


@given(hnp.arrays(float, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=values))
def test_ranks_equal_scipy(x: Any) -> None:
    np.testing.assert_array_equal(average_ranks(x), stats.rankdata(x, axis=1))


@given(
    hnp.arrays(
        float, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 6)
    ),
    st.lists(st.integers(1, 45), min_size=1, max_size=3, unique=True),
)
def test_top_masks_equal_ranks(x: Any, sizes: list[int]) -> None:
    for mask, size in zip(top_masks(x, tuple(sizes)), sizes, strict=True):
        np.testing.assert_array_equal(mask, stats.rankdata(-x, axis=1) <= size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_threshold(dtype: Any) -> None:
    edge = largest_rounded_to_zero(np.dtype(dtype))
    around = edge + np.arange(-5, 6) * np.spacing(edge)
    np.testing.assert_array_equal(
        np.round(around.astype(dtype), 2) > 0, around.astype(dtype) > edge
    )


def test_overlap_counts_down_from_the_genes_that_are_there() -> None:
    o = np.arange(1.0, 28)
    assert one(METRICS["overlap_top_100"], o, o)[0] == pytest.approx(0.27)
    assert METRICS["overlap_top_100"].best is not None
    assert METRICS["overlap_top_100"].best(27) == pytest.approx(0.27)


def test_distance_in_pca_by_hand() -> None:
    """With as many components as genes it is the plain squared distance."""
    rng = np.random.default_rng(0)
    train, observed, predicted = (
        rng.normal(size=(30, 4)),
        rng.normal(size=(3, 4)),
        rng.normal(size=(3, 4)),
    )
    sides = {"p": predicted, "self": observed}
    result, note = distance_in_pca(Profiles(Training(train), np.zeros(4), observed, sides))
    assert note is None
    np.testing.assert_allclose(result["p"], ((observed - predicted) ** 2).sum(axis=1))
    assert (result["self"] == 0).all()


@pytest.mark.parametrize("rows", [1, 3])
def test_distance_in_pca_needs_variation(rows: int) -> None:
    assert principal_components(np.ones((rows, 4))).shape == (0, 4)
    nothing = Profiles(
        Training(np.ones((rows, 4))), np.zeros(4), np.ones((1, 4)), {"p": np.zeros((1, 4))}
    )
    assert np.isnan(distance_in_pca(nothing)[0]["p"]).all()


@pytest.mark.parametrize("shape", [(450, 401), (401, 450)])
@pytest.mark.parametrize("value", [0.0, 1.5])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_large_training_sets_that_do_not_vary_have_no_components(
    shape: tuple[int, int], value: float, make: Callable[[np.ndarray], Any]
) -> None:
    train = make(np.full(shape, value, dtype=np.float32))
    assert principal_components(train).shape == (0, shape[1])


def test_components_are_as_many_as_vary() -> None:
    rng = np.random.default_rng(0)
    assert principal_components(rng.normal(size=(5, 50))).shape == (4, 50)
    assert principal_components(rng.normal(size=(50, 30))).shape == (20, 30)
    twice = np.repeat(rng.normal(size=(3, 50)), 4, axis=0)
    assert principal_components(twice).shape == (2, 50)


def test_cell_label_accuracy() -> None:
    import pandas as pd

    train = np.repeat([[0.0, 1.0], [5.0, 6.0]], 10, axis=0)
    labels = pd.Series(["a"] * 10 + ["b"] * 9 + [None])
    observed = np.array([[0.0, 1.0], [5.0, 6.0]])
    nothing = np.zeros(2)
    sides = {"p": observed, "q": observed[::-1]}
    result, note = cell_label_accuracy(Profiles(Training(train, labels), nothing, observed, sides))
    assert note is None
    assert result["p"].tolist() == [1, 1]
    assert result["q"].tolist() == [0, 0]
    for layout in (sparse.csr_array, sparse.csc_array):
        wide = layout(train)
        wide.indices, wide.indptr = (i.astype(np.int64) for i in (wide.indices, wide.indptr))
        again, note = cell_label_accuracy(
            Profiles(Training(wide, labels), nothing, observed, sides)
        )
        assert (note, wide.indices.dtype) == (None, np.int64)
        assert {k: v.tolist() for k, v in again.items()} == {"p": [1, 1], "q": [0, 0]}
    alike = Profiles(Training(train, pd.Series(["a"] * 20)), nothing, observed, sides)
    result, note = cell_label_accuracy(alike)
    assert result == {}
    assert note is not None
    assert "at least 2" in note


# The original turns what it cannot compute into 0, and correlates rounding errors.
ROUNDING_ONLY = {"predict_baseline_plus_const": ("spearman", "pearson")}
NOTHING_CHOSEN = ("observed_equals_baseline", "half_way_rounding")
TIED_UP_TO_ROUNDING = ("observed_ties_at_top20", "observed_ties_150")


@pytest.mark.shared
def test_agreement_with_the_original_on_vectors(shared: Path) -> None:
    with gzip.open(shared / "golden/unit/metrics.json.gz") as file:
        pairs = json.load(file)
    compared = 0
    for case, pair in pairs.items():
        dtype = np.dtype(pair["dtype"])
        o = np.array(pair["observed"], dtype) - np.array(pair["baseline_observed"], dtype)
        e = np.array(pair["predicted"], dtype) - np.array(pair["baseline_predicted"], dtype)
        if case == "nan_in_prediction":
            continue  # refused before anything is computed
        ours = compute_metrics(o[None], {"p": e[None]}, threads=1)["p"]
        for name in (n for n in names if n in pair["metrics"]):
            expected = pair["metrics"][name]
            got = ours[name][0]
            if np.isnan(got) and isinstance(expected, float):
                assert (
                    (
                        case == "predict_baseline_plus_const"
                        and name.startswith(("spearman", "pearson"))
                    )
                    or (case in TIED_UP_TO_ROUNDING and name.startswith("pearson"))
                    or (case in NOTHING_CHOSEN and expected == 0)
                ), (case, name)
                continue
            if np.isnan(got):
                assert expected in ("nan", None, 0), (case, name)
                continue
            assert got == pytest.approx(expected, rel=1e-5, abs=1e-7), (case, name)
            compared += 1
    assert compared > 440


def test_components_leave_the_training_data_as_they_are() -> None:
    """Fewer rows than genes, of the type that is computed in: the task's own array."""
    train = np.random.default_rng(0).normal(3, 1, (12, 30))
    before = train.copy()
    assert len(principal_components(train))
    np.testing.assert_array_equal(train, before)
