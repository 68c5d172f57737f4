"""Metrics of cells: by hand, by SciPy, and by what is known of the data."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from scipy.spatial.distance import cdist

from pereggrn_data.core.errors import MissingExtraError
from pereggrn_data.core.prediction_types import FEWEST_CELLS, CellSettings, Space
from pereggrn_data.evaluators import METRICS, make_task
from pereggrn_data.evaluators.calibration import calibrate
from pereggrn_data.evaluators.cell_scores import (
    CellMeasure,
    CellScores,
    CellSource,
    score_cells,
)
from pereggrn_data.evaluators.metrics import distribution_metrics, rank_tests
from pereggrn_data.evaluators.metrics.cell_comparison import CellComparison
from pereggrn_data.evaluators.metrics.cell_groups import (
    CellGroups,
    count_means,
    counts_per_million,
    drawn,
    fetching,
)
from pereggrn_data.evaluators.metrics.distribution_metrics import CellDistances
from pereggrn_data.evaluators.metrics.rank_tests import DifferentialExpression, rank_sum_tests
from pereggrn_data.evaluators.replicate_halves import DUPLICATE, HALF, draws
from pereggrn_data.evaluators.scoring import PREDICTIONS
from pereggrn_data.evaluators.task import Task
from pereggrn_data.pipelines.score import score
from pereggrn_data.pipelines.split import SplitDataset, split

pytest.importorskip("illico")

GENES = [f"G{i:02d}" for i in range(60)]
PERTURBED = GENES[:14]
OF_CELLS = [m for m in METRICS.values() if m.of_cells]
NAMES = [m.name for m in OF_CELLS]


def some_counts(seed: int = 0, cells: int = 16, controls: int = 48) -> tuple[list[str], Any]:
    """Draw counts in which each perturbation changes 12 genes, and silences its own."""
    effects = np.random.default_rng(1)
    rng = np.random.default_rng([seed, 2])
    base = effects.gamma(2.0, 4.0, len(GENES)) + 1
    change = np.ones((len(PERTURBED), len(GENES)))
    for k in range(len(PERTURBED)):
        change[k, effects.choice(len(GENES), 12, replace=False)] = 3
        change[k, k] = 0.1
    labels = ["ctrl"] * controls + [p for p in PERTURBED for _ in range(cells)]
    means = [base if p == "ctrl" else base * change[PERTURBED.index(p)] for p in labels]
    return labels, rng.poisson(np.array(means)).astype(np.float64)


def logged(counts: Any) -> Any:
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)


def a_dataset(seed: int = 0, *, thin: bool = False) -> anndata.AnnData:
    labels, counts = some_counts(seed)
    x = logged(counts).astype(np.float32)
    is_control = np.array(labels) == "ctrl"
    levels = [
        "nan" if c else str(float(row[GENES.index(p)]))
        for c, p, row in zip(is_control, labels, x, strict=True)
    ]
    obs = pd.DataFrame(
        {
            "is_control": is_control,
            "perturbation": labels,
            "perturbation_type": "knockdown",
            "expression_level_after_perturbation": levels,
        },
        index=[f"cell_{i}" for i in range(len(labels))],
    )
    uns = {
        "perturbed_and_measured_genes": PERTURBED,
        "perturbed_but_not_measured_genes": [],
        "perturbations_overlap": False,
    }
    var = pd.DataFrame({"highly_variable_rank": range(len(GENES))}, index=GENES)
    adata = anndata.AnnData(sparse.csr_array(x) if thin else x, obs=obs, var=var, uns=uns)
    adata.raw = anndata.AnnData(counts.astype(np.float32), obs=obs[[]], var=var[[]])
    return adata


@pytest.fixture(scope="module")
def made() -> SplitDataset:
    return split(a_dataset(), heldout_fraction=0.75)


@pytest.fixture(scope="module")
def task(made: SplitDataset) -> Task:
    return make_task(made.prepared.adata, made.split)


def predicted_cells(task: Task, seed: int = 9) -> CellGroups:
    """Another experiment of the same kind as a forecast."""
    labels, counts = some_counts(seed)
    names = list(task.groups["perturbation"])
    group_of = np.array([names.index(p) if p in names else -1 for p in labels])
    columns = [GENES.index(g) for g in task.genes]
    return CellGroups.numbered(logged(counts)[:, columns], group_of, len(names))


# ---- tests and fold changes


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array, sparse.csr_matrix])
def test_p_values_are_those_of_mannwhitneyu(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    controls, *groups = (np.log1p(rng.poisson(1.2, (n, 30))) for n in (25, 9, 14))
    for part in (controls, *groups):
        part[:, 4] = 0.0
    # The second time in blocks of a few genes.
    for block in (1 << 27, 1 << 12):
        monkeypatch.setattr(rank_tests, "_BLOCK_BYTES", block)
        found = rank_sum_tests(kind(controls), [kind(g) for g in groups], threads=1)
        for k, group in enumerate(groups):
            for j in range(30):
                pair = group[:, j], controls[:, j]
                expected = 1.0 if j == 4 else stats.mannwhitneyu(*pair).pvalue
                if expected < 1:
                    assert found[k, j] == pytest.approx(expected, rel=1e-9), (k, j)
                # Without any difference illico corrects for continuity all the same.
                assert expected < 1 or found[k, j] > 0.9


def test_the_test_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    values = np.random.default_rng(0).normal(size=(20, 3))
    rank_sum_tests(values[:10], [values[10:]], threads=1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_means_are_of_counts(kind: Any) -> None:
    counts = np.array([[1.0, 0.0, 3.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    cells = kind(np.log1p(counts))
    np.testing.assert_allclose(count_means(cells), [1, 0, 1])
    # Shares of each cell; the cell without counts has none.
    np.testing.assert_allclose(counts_per_million(cells), np.array([0.25 + 1, 0, 0.75]) / 3 * 1e6)
    # Nothing is less than no counts.
    assert (count_means(np.full((2, 1), -0.1)) == 0).all()


def expression(significant: list[int], change: list[float]) -> DifferentialExpression:
    return DifferentialExpression(np.array(significant, dtype=bool), np.array(change))


OBSERVED = expression([1, 1, 1, 0, 0, 0], [3.0, -2.0, 1.0, 4.0, 0.0, 0.1])
NOWHERE = expression([0] * 6, [0.0] * 6)
CASES = [
    # By |change|, true: 0, 1, 2; predicted: 3, 0, 2, 1.
    (OBSERVED, expression([1, 1, 1, 1, 0, 0], [2.0, 0.5, 1.0, 5.0, 9.0, 0.0]),
     {"de_overlap_at_n": 2 / 3, "de_precision_at_n": 2 / 3, "de_direction_match": 2 / 3,
      "de_recall": 1.0, "de_jaccard": 3 / 4}),
    # Fewer predicted than true: as many of the highest true ones count.
    (OBSERVED, expression([0, 1, 0, 0, 0, 0], [0.1, -9.0, float("nan"), 0.0, 0.0, 0.0]),
     {"de_overlap_at_n": 1 / 3, "de_precision_at_n": 0.0, "de_direction_match": 2 / 3,
      "de_recall": 1 / 3, "de_jaccard": 1 / 3}),
    (OBSERVED, NOWHERE,
     {"de_overlap_at_n": 0.0, "de_precision_at_n": 0.0, "de_direction_match": 0.0,
      "de_recall": 0.0, "de_jaccard": 0.0}),
    (NOWHERE, OBSERVED,
     {"de_overlap_at_n": 0.0, "de_precision_at_n": 0.0, "de_direction_match": None,
      "de_recall": None, "de_jaccard": 0.0}),
    (NOWHERE, NOWHERE, {"de_jaccard": 1.0, "de_overlap_at_n": 0.0}),
]  # fmt: skip


@pytest.mark.parametrize(("observed", "predicted", "expected"), CASES)
def test_de_metrics_by_hand(
    observed: DifferentialExpression, predicted: DifferentialExpression, expected: dict[str, Any]
) -> None:
    nothing: Any = None
    for name, value in expected.items():
        compute = METRICS[name].compute_cells
        assert compute is not None
        found = compute(CellComparison(observed, predicted, nothing))
        assert np.isnan(found) if value is None else found == pytest.approx(value), name


def test_errors_of_fold_changes_by_hand() -> None:
    compute: Any = METRICS["de_fold_change_nmae"].compute_cells
    true = expression([1] * 10 + [0], [1.0] * 10 + [7.0])
    # A gene without a forecast is one without a change; the last gene is not asked for.
    said = expression([0] * 11, [1.0] * 8 + [3.0, float("nan"), 0.0])
    assert compute(CellComparison(true, said, None)) == pytest.approx(3 / 10)  # type: ignore[arg-type]
    few = expression([1] * 9 + [0, 0], [1.0] * 11)
    assert np.isnan(compute(CellComparison(few, said, None)))  # type: ignore[arg-type]


def test_p_values_are_corrected_within_a_group() -> None:
    p = np.array([0.001, 0.03, 0.04, 0.9])
    found = DifferentialExpression.of(p, np.array([1.0, 1.0, np.nan, 1.0]))
    # 0.03 * 4 / 2 is above 0.05, 0.04 * 4 / 3 too.
    assert found.significant.tolist() == [True, False, False, False]
    found = DifferentialExpression.of(p[:3] / 10, np.array([1.0, 1.0, np.nan]))
    assert found.significant.tolist() == [True, True, False]  # without a change, nothing


# ---- distances


def by_definition(x: Any, y: Any) -> tuple[float, float, float]:
    xx, yy, xy = cdist(x, x), cdist(y, y), cdist(x, y)
    n, m = len(x), len(y)
    energy = 2 * xy.mean() - xx.sum() / (n * (n - 1)) - yy.sum() / (m * (m - 1))
    pooled = np.vstack([x, y])
    sigma = np.median(cdist(pooled, pooled)[~np.eye(n + m, dtype=bool)])

    def kernel(distance: Any) -> Any:
        return np.exp(-(distance**2) / (2 * sigma**2))

    within = [(kernel(d).sum() - k) / (k * (k - 1)) for d, k in ((xx, n), (yy, m))]
    return energy, sum(within) - 2 * kernel(xy).mean(), sigma


@pytest.mark.parametrize("limits", [None, (1000, (0.4, 0.6)), (1000, (0.99, 1.0))])
@pytest.mark.parametrize(("n", "m"), [(9, 8), (41, 30)])
def test_distances_by_definition_in_blocks_and_not(
    n: int, m: int, limits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many distances are kept, and wherever the median is looked for."""
    if limits is not None:
        monkeypatch.setattr(distribution_metrics, "_KEPT", limits[0])
        monkeypatch.setattr(distribution_metrics, "_MIDDLE", limits[1])
        monkeypatch.setattr(distribution_metrics, "_CELLS_AT_ONCE", 16)
        monkeypatch.setattr(distribution_metrics, "_SOME_CELLS", 20)
        monkeypatch.setattr(distribution_metrics, "_BINS", 32)
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, 5)), rng.normal(0.5, 1, size=(m, 5))
    x[:3, 1:] = 0  # sparse ones have zeros
    for kinds in ((np.asarray, np.asarray), (sparse.csr_array, np.asarray)):
        found = CellDistances(kinds[0](x), kinds[1](y))
        expected = by_definition(x, y)
        assert (found.energy(), found.mmd(), found.median()) == pytest.approx(expected, abs=1e-9)
    left_out = CellDistances(x, y, np.array([1, 4])).energy()
    assert left_out == pytest.approx(by_definition(x[:, [0, 2, 3]], y[:, [0, 2, 3]])[0])


def test_tied_distances_have_a_median(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution_metrics, "_KEPT", 10)
    monkeypatch.setattr(distribution_metrics, "_MIDDLE", (0.0, 0.001))
    corners = np.eye(12)
    assert CellDistances(corners, corners + 0).median() == pytest.approx(np.sqrt(2))
    assert np.isnan(CellDistances(np.zeros((12, 2)), np.zeros((9, 2))).mmd())


def test_distances_of_one_distribution_are_0_on_average() -> None:
    rng = np.random.default_rng(3)
    found = [CellDistances(*rng.normal(size=(2, 12, 4))) for _ in range(200)]
    for values in ([d.energy() for d in found], [d.mmd() for d in found]):
        assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)


# ---- groups of cells


def test_copies_are_no_cells() -> None:
    rng = np.random.default_rng(0)
    different = rng.normal(size=(FEWEST_CELLS, 3))
    copies = np.repeat(different[:1], 100, axis=0)
    nearly = np.vstack([np.repeat(different[:-1], 30, axis=0)])
    matrix = np.vstack([different, copies, nearly])
    group_of = np.repeat([0, 1, 2], [len(different), len(copies), len(nearly)])
    groups = CellGroups.numbered(matrix, group_of, 4)
    assert groups.enough(range(4)).tolist() == [True, False, False, False]
    assert groups.sizes().tolist() == [8, 100, 210, 0]


def test_samples_are_seeded_and_of_one_group_each() -> None:
    pool = np.arange(50, 100)
    first = drawn(pool, 10, (0, 1))
    assert len(set(first)) == 10
    assert set(first) <= set(pool)
    assert (drawn(pool, 10, (0, 1)) == first).all()
    assert (drawn(pool, 10, (1, 1)) != first).any()
    assert drawn(pool, 50, (0,)) is pool


# ---- scores


def values_of(task: Task, cells: CellGroups, **settings: Any) -> CellScores:
    return score_cells(task, cells, CellSettings(**settings), threads=1)


def test_another_experiment_beats_the_training_mean(task: Task) -> None:
    found = values_of(task, predicted_cells(task))
    assert found.lost(PREDICTIONS) == {}
    for metric in OF_CELLS:
        mine, mean = (found.values[m][metric.name].mean() for m in (PREDICTIONS, "mean"))
        assert (mine > mean) == (metric.direction == "higher"), metric.name
    assert found.values[PREDICTIONS]["de_overlap_at_n"].mean() > 0.7
    assert set(found.possible) == set(NAMES)
    # Own targets are silenced in every cell, and yet no gene is found that is not known.
    k = 0
    own = task.targets.columns[task.targets.rows == k]
    assert len(own) == 1


@pytest.mark.parametrize("name", NAMES)
def test_cells_are_scored_alike_in_any_order_and_any_blocks(
    name: str, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name != NAMES[0] and name != "mmd":
        return  # one of each family: they share what is tested here
    cells = predicted_cells(task)
    expected = values_of(task, cells).values[PREDICTIONS][name]
    shuffled = replace(cells, rows=[rows[::-1] for rows in cells.rows])
    everyone = np.arange(max(map(np.max, cells.rows)) + 1)
    thin = replace(shuffled, fetch=fetching(sparse.csr_array(cells.fetch(everyone))))
    monkeypatch.setattr(rank_tests, "_CELLS_AT_ONCE", 1)
    np.testing.assert_allclose(values_of(task, thin).values[PREDICTIONS][name], expected)


def test_too_few_cells_or_copies_have_no_value_and_are_counted(task: Task) -> None:
    cells = predicted_cells(task)
    rows = list(cells.rows)
    rows[0] = rows[0][:7]
    rows[1] = np.repeat(rows[1][:1], 50)
    found = values_of(task, replace(cells, rows=rows))
    for name in NAMES:
        missing = np.isnan(found.values[PREDICTIONS][name])
        assert np.flatnonzero(missing).tolist() == [0, 1], name
        assert found.lost(PREDICTIONS)[name] == 2
    assert any("no value in 2 of" in n and "were predicted" in n for n in found.notes)


def test_distances_in_components_and_of_a_sample(task: Task) -> None:
    cells = predicted_cells(task)
    by_space = {s: values_of(task, cells, space=s).values[PREDICTIONS] for s in Space}
    for name in ("energy_distance", "mmd"):
        assert not np.allclose(*(by_space[s][name] for s in Space))
    for name in NAMES[:6]:
        np.testing.assert_array_equal(*(by_space[s][name] for s in Space))
    few = values_of(task, cells, at_most=9).values[PREDICTIONS]["energy_distance"]
    again = values_of(task, cells, at_most=9).values[PREDICTIONS]["energy_distance"]
    np.testing.assert_array_equal(few, again)
    assert not np.allclose(few, by_space[Space.GENES]["energy_distance"])
    other = values_of(task, cells, at_most=9, seed=1).values[PREDICTIONS]["energy_distance"]
    assert not np.allclose(few, other)


def test_own_targets_are_no_success(task: Task) -> None:
    """Silenced own targets alone, which every method is told, change nothing."""
    cells = predicted_cells(task)
    before = values_of(task, cells).values[PREDICTIONS]
    matrix = cells.fetch(np.arange(max(map(np.max, cells.rows)) + 1)).copy()
    for k, rows in enumerate(cells.rows):
        own = task.targets.columns[task.targets.rows == k]
        matrix[np.ix_(rows, own)] = 5.0
    after = values_of(task, replace(cells, fetch=fetching(matrix))).values[PREDICTIONS]
    for name in NAMES:
        np.testing.assert_allclose(after[name], before[name], err_msg=name)


def test_what_is_not_log1p_has_distances_only(task: Task) -> None:
    lower = replace(task, test_matrix=task.test_matrix - 3, train_matrix=task.train_matrix - 3)
    cells = predicted_cells(task)
    found = values_of(lower, replace(cells, fetch=lambda rows: cells.fetch(rows) - 3))
    mine = found.values[PREDICTIONS]
    assert np.isnan(mine["de_recall"]).all()
    assert np.isfinite(mine["mmd"]).all()
    assert any("not log1p of counts" in note for note in found.notes)


def test_few_controls_are_said(task: Task) -> None:
    control = task.train_obs["is_control"].to_numpy(bool)
    kept = np.flatnonzero(~control | (np.cumsum(control) <= 7))
    fewer = replace(
        task, train_obs=task.train_obs.iloc[kept], train_matrix=task.train_matrix[kept]
    )
    found = values_of(fewer, predicted_cells(task))
    assert all(np.isnan(v).all() for v in found.values[PREDICTIONS].values())
    assert any("different control cells" in note for note in found.notes)


# ---- calibration


@pytest.mark.slow
def test_a_duplicate_is_the_other_half_of_the_cells(task: Task) -> None:
    settings = CellSettings()
    made = calibrate(task, cells=settings, threads=1)
    for metric in OF_CELLS:
        of = {
            m: made.of(m, metric.name) for m in ("observed", DUPLICATE, HALF["mean"], "permuted")
        }
        assert np.isfinite(of["observed"]).all(), metric.name
        assert np.isfinite(of[DUPLICATE]).any(), metric.name
        assert metric.name in made.discriminates
    assert made.of("observed", "de_overlap_at_n") == pytest.approx(1)
    assert made.of("control", "de_recall") == pytest.approx(0)
    # It is of the other distribution, unlike the mean of the training perturbations.
    room = made.room(METRICS["energy_distance"])
    assert (room > 0).all()
    assert abs(made.of(DUPLICATE, "energy_distance").mean()) < 0.1 * room.mean()
    draw = next(iter(draws(task)))
    truth, methods = CellSource.of(task, settings).halves(draw)
    other = methods[DUPLICATE]
    for a, b in ((truth.cells, other.cells), (truth.controls, other.controls)):
        for mine, theirs in zip(a.rows, b.rows, strict=True):
            assert not set(mine) & set(theirs)
            assert len(mine) + len(theirs) in (16, 48)
    assert methods[HALF["mean"]].controls.rows[0].tolist() == truth.controls.rows[0].tolist()


# ---- the verb


def a_forecast(made: SplitDataset, *, cells: bool = True) -> anndata.AnnData:
    other = a_dataset(9)
    kept = other.obs["perturbation"].isin(made.split.heldout_perturbations).to_numpy()
    part = other[kept, list(made.split.genes)]
    obs = part.obs[["perturbation"]].set_axis([f"predicted {i}" for i in range(part.n_obs)])
    forecast = anndata.AnnData(np.asarray(part.X, dtype=np.float64), obs=obs, var=part.var[[]])
    if cells:
        return forecast
    return forecast[~obs["perturbation"].duplicated().to_numpy()].copy()


@pytest.mark.slow
def test_scores_of_cells_are_judged_like_all_others(made: SplitDataset) -> None:
    without = score(a_forecast(made), split=made, calibrate=False)
    report = score(a_forecast(made), split=made, cell_metrics=True, space="pca")
    assert not set(NAMES) & set(without.metrics)
    assert set(report.metrics) == {*without.metrics, *NAMES}
    assert "|cells:pca,seed=0,sample=5000|" in report.signature
    assert "cells:" not in without.signature
    found = report.metrics["de_overlap_at_n"]
    assert found.beats_baselines is True
    assert found.ceiling.discriminates is True
    assert found.ceiling.scaled is not None
    assert found.interval is not None
    assert found.better_baseline == "mean"
    assert "median" not in found.baselines
    for name, summary in without.metrics.items():
        assert report.metrics[name].value == summary.value, name
    table = report.group_table()
    assert table.loc[table["method"] == "median", NAMES].isna().all(axis=None)
    assert table.loc[table["method"] == "predictions", NAMES].notna().all(axis=None)


def test_profiles_without_cells_have_no_verdict(made: SplitDataset) -> None:
    report = score(a_forecast(made, cells=False), split=made, cell_metrics=True, calibrate=False)
    n = report.n_expected
    for name in NAMES:
        assert report.metrics[name].value is None
        assert report.metrics[name].beats_baselines is None
    assert any(f"no value in {n} of {n} groups" in w for w in report.warnings)
    assert any(w.startswith("de_recall has no verdict") for w in report.warnings)
    assert report.metrics["mae"].value is not None


def test_a_missing_extra_is_named_before_any_work(
    made: SplitDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    rank_tests.require_illico.cache_clear()
    monkeypatch.setitem(sys.modules, "illico", None)
    with pytest.raises(MissingExtraError, match=r"pereggrn-data\[cells\]"):
        score("nowhere.h5ad", split=made, cell_metrics=True)


def test_measures_of_nothing_are_nothing(task: Task) -> None:
    settings = CellSettings()
    source = CellSource.of(task, settings)
    found = CellMeasure(task, settings)(source.observed(), {})
    assert found.values == {}
    assert all(possible.all() for possible in found.possible.values())
