"""Controls and technical duplicates: what is known to be true of them by construction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pereggrn_data.evaluators.alignment import Aligned
from pereggrn_data.evaluators.calibration import Calibration, calibrate, dynamic_range
from pereggrn_data.evaluators.controls import CONTROLS, nearest_training, permuted
from pereggrn_data.evaluators.metrics.definitions import METRICS
from pereggrn_data.evaluators.metrics.metric_surroundings import Moments
from pereggrn_data.evaluators.replicate_halves import (
    DRAWS,
    DUPLICATE,
    HALF,
    INTERPOLATED,
    KnownControls,
    certainty,
    draws,
    duplicate_noise,
    halved,
    known_controls,
)
from pereggrn_data.evaluators.scoring import score
from pereggrn_data.evaluators.targets import TargetedGenes
from pereggrn_data.evaluators.task import Task, make_task
from pereggrn_data.evaluators.task_baselines import Contexts
from pereggrn_data.pipelines.split import split

GENES = [f"G{i}" for i in range(40)]


def a_task(
    trained: Sequence[str],
    held_out: Sequence[str],
    *,
    replicates: int = 6,
    controls: int = 12,
    effect: float = 1.0,
    noise: float = 0.3,
    seed: int = 0,
) -> Task:
    """Make a task on which perturbations of a gene each have an effect of their own."""
    rng = np.random.default_rng(seed)
    effects = {g: rng.normal(0, effect, len(GENES)) for g in GENES}
    labels = ["ctrl"] * controls + [x for x in (*trained, *held_out) for _ in range(replicates)]
    base = rng.uniform(2, 4, len(GENES))
    means = [
        base + sum((effects[g] for g in label.split(",") if g in effects), np.zeros(len(GENES)))
        for label in labels
    ]
    x = np.array(means) + rng.normal(0, noise, (len(labels), len(GENES)))
    is_control = [label == "ctrl" for label in labels]
    obs = pd.DataFrame(
        {
            "is_control": is_control,
            "perturbation": labels,
            "perturbation_type": "overexpression",
            "expression_level_after_perturbation": [
                "nan" if c else ",".join("nan" for _ in label.split(","))
                for c, label in zip(is_control, labels, strict=True)
            ],
        },
        index=[f"cell_{i}" for i in range(len(labels))],
    )
    hit = sorted({g for label in labels for g in label.split(",")} & set(GENES))
    uns = {
        "perturbed_and_measured_genes": hit,
        "perturbed_but_not_measured_genes": [],
        "perturbations_overlap": any("," in label for label in labels),
    }
    var = pd.DataFrame({"highly_variable_rank": range(len(GENES))}, index=GENES)
    adata = anndata.AnnData(X=x, obs=obs, var=var, uns=uns)
    counts = np.expm1(np.maximum(x, 0))
    adata.raw = anndata.AnnData(X=counts, obs=obs[[]], var=var[[]])
    test = [name for name, label in zip(obs.index, labels, strict=True) if label in held_out]
    made = split(adata, "custom", test_set=test)
    return make_task(made.prepared.adata, made.split)


@pytest.fixture(scope="module")
def clear() -> Task:
    """Ten held-out perturbations with large effects and little noise."""
    return a_task(GENES[:8], GENES[10:20])


@pytest.fixture(scope="module")
def calibrated(clear: Task) -> Calibration:
    return calibrate(clear)


@given(strata=st.lists(st.integers(0, 4), max_size=40), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_halves_are_as_equal_as_can_be(strata: list[int], seed: int) -> None:
    codes = np.array(strata, dtype=np.intp)
    half = halved(codes, np.random.default_rng(seed))
    for stratum in set(strata):
        of = half[codes == stratum]
        assert set(of) <= {0, 1}
        assert (of == 0).sum() - (of == 1).sum() in (0, 1)


def test_draws_are_of_disjoint_observations_and_their_own_controls(clear: Task) -> None:
    made = list(draws(clear))
    assert len(made) == DRAWS
    for draw in made:
        # Halves of six observations, and of the controls: means of both are the whole.
        whole = clear.observed - clear.control_mean
        both = (draw.truth.observed + draw.effects[DUPLICATE]) / 2
        np.testing.assert_allclose(both, whole, atol=1e-6)
    assert len({d.truth.observed.tobytes() for d in made}) == DRAWS


def test_where_effects_are_clear_a_duplicate_beats_the_mean(calibrated: Calibration) -> None:
    summaries = calibrated.summaries()
    for name in ("pearson", "mse", "discrimination_l2", "weighted_r2", "r2"):
        assert summaries[name].discriminates is True, name
        # Of ten groups one is nearest to the mean, which then discriminates it perfectly, too.
        assert summaries[name].duplicate_wins is not None
        assert summaries[name].duplicate_wins >= 0.9, name
        assert summaries[name].dynamic_range is not None
        assert summaries[name].dynamic_range > 0.5, name
        assert summaries[name].n == 10
    # All genes are among the 100 most changed: nobody can be better or worse at it.
    assert summaries["overlap_top_100"].discriminates is False


def test_controls_score_what_they_must(calibrated: Calibration) -> None:
    summaries = calibrated.summaries()
    for method in ("control", "mean", "median", "perturbed_mean", "half_mean", "half_control"):
        value = summaries["discrimination_l1"].values[method]
        assert value == pytest.approx(0.5), method
    for name, summary in summaries.items():
        best = METRICS[name].best
        assert best is not None
        assert summary.values["observed"] == pytest.approx(best(len(GENES) - 1), abs=0.02), name
    # The control mean is no effect, and the mean of perturbations none over itself.
    assert summaries["pearson"].values["control"] is None
    assert summaries["pearson_perturbed_reference"].values["perturbed_mean"] is None


def test_interpolation_is_between_mean_and_duplicate(calibrated: Calibration) -> None:
    mean, duplicate, between = (
        calibrated.of(m, "mse") for m in (HALF["mean"], DUPLICATE, INTERPOLATED)
    )
    assert (between < mean).all()
    assert between.mean() < duplicate.mean() * 1.5


def test_every_draw_of_the_duplicate_is_kept(calibrated: Calibration) -> None:
    for name in ("mse", "discrimination_l1"):
        kept = calibrated.draws[name]
        assert kept.shape == (DRAWS, 10)
        np.testing.assert_allclose(kept.mean(axis=0), calibrated.of(DUPLICATE, name))
        assert len(np.unique(kept[:, 0])) == (DRAWS if name == "mse" else 1)


def test_noise_of_a_duplicate_is_that_of_observations_and_controls(clear: Task) -> None:
    """By hand: 3 and 3 of 6 observations, 6 and 6 of 12 controls, noise of 0.3 in 40 genes."""
    noise = duplicate_noise(clear)
    expected = 0.3 * np.sqrt(len(GENES) * (1 / 3 + 1 / 3 + 1 / 6 + 1 / 6))
    np.testing.assert_allclose(noise, expected, rtol=0.35)
    assert noise.mean() == pytest.approx(expected, rel=0.15)
    single = a_task(GENES[:8], GENES[10:20], replicates=1)
    assert np.isnan(duplicate_noise(single)).all()


def test_noise_is_the_distance_of_the_draws(clear: Task) -> None:
    apart = []
    for draw in draws(clear):
        difference = draw.effects[DUPLICATE] - draw.truth.observed[draw.kept]
        apart.append(np.square(difference).sum(axis=1))
        halves = [
            np.stack([clear.test_matrix[of == k].mean(axis=0) for k in range(len(clear.groups))])
            for of in draw.group_of
        ]
        np.testing.assert_allclose(
            halves[0] - draw.truth.reference, draw.truth.observed, atol=1e-6
        )
    np.testing.assert_allclose(duplicate_noise(clear), np.sqrt(np.mean(apart, axis=0)))


def test_scaled_scores_are_0_for_the_mean_and_1_for_a_duplicate(calibrated: Calibration) -> None:
    mean = dict(calibrated.values["mean"])
    of_mean = calibrated.ceilings(mean, mean)
    assert of_mean["mse"].scaled == 0
    # As far from the mean as a duplicate is from the mean on the half.
    twin = {
        m.name: mean[m.name]
        + calibrated.of(DUPLICATE, m.name)
        - calibrated.of(HALF["mean"], m.name)
        for m in calibrated.metrics
    }
    of_twin = calibrated.ceilings(twin, mean)
    assert of_twin["mse"].scaled == pytest.approx(1)
    assert of_twin["mse"].scaled_interval == pytest.approx((1, 1))
    # What is perfect is above 1: a duplicate has noise of its own. Nothing is clipped.
    perfect = calibrated.ceilings(calibrated.values["observed"], mean)
    assert perfect["mse"].scaled is not None
    assert perfect["mse"].scaled > 1
    worse = calibrated.ceilings(calibrated.values["permuted"], mean)
    assert worse["mse"].scaled is not None
    assert worse["mse"].scaled < 0
    assert of_mean["overlap_top_100"].scaled is None
    assert of_mean["overlap_top_100"].discriminates is False


def test_halves_do_not_share_controls() -> None:
    """Without any effect of perturbations a duplicate agrees with nothing."""
    task = a_task(GENES[:8], GENES[10:26], effect=0, controls=2, replicates=8, noise=0.5)
    values = calibrate(task).of(DUPLICATE, "pearson")
    assert abs(np.nanmean(values)) < 0.2
    # With the controls of the other half instead, they seem to agree.
    shared = []
    for draw in draws(task):
        same = draw.effects[DUPLICATE] - draw.effects[DUPLICATE].mean(axis=0)
        same = same + draw.truth.observed.mean(axis=0)
        pairs = zip(same, draw.truth.observed, strict=True)
        shared += [np.corrcoef(a, b)[0, 1] for a, b in pairs]
    assert np.mean(shared) > 0.5


@pytest.mark.parametrize(("replicates", "controls"), [(1, 12), (6, 1)])
def test_without_replicates_nothing_is_known(replicates: int, controls: int) -> None:
    task = a_task(GENES[:8], GENES[10:20], replicates=replicates, controls=controls)
    made = calibrate(task)
    assert made.n_replicated == 0
    assert any("10 of 10 groups have no duplicate" in note for note in made.notes)
    assert DUPLICATE not in made.values
    summary = made.summaries()["mse"]
    assert summary.discriminates is None
    assert summary.reason == "no group has a duplicate"
    ceiling = made.ceilings(made.values["observed"], made.values["mean"])["mse"]
    assert (ceiling.scaled, ceiling.discriminates) == (None, None)
    assert summary.values["observed"] == pytest.approx(0)


def test_weights_of_a_half_need_two_observations() -> None:
    made = calibrate(a_task(GENES[:8], GENES[10:20], replicates=2))
    assert made.n_replicated == 10
    assert np.isnan(made.of(DUPLICATE, "weighted_mse")).all()
    assert np.isfinite(made.of("mean", "weighted_mse")).all()
    assert INTERPOLATED not in made.values


def test_few_perturbations_say_nothing_for_sure() -> None:
    made = calibrate(a_task(GENES[:8], GENES[10:14]))
    found = made.summaries()["mse"]
    assert found.discriminates is None
    assert "4 replicated perturbations are too few" in str(found.reason)


def test_nearest_is_the_mean_of_the_singles_of_a_double() -> None:
    task = a_task(["G1", "G2", "G3", "G1,G5"], ["G1,G2", "G9", "G3,G9"])
    nearest = nearest_training(task)
    assert nearest is not None
    x, labels = task.train_matrix, task.train_obs["perturbation"].to_numpy(object)
    mean = {label: x[labels == label].mean(axis=0) for label in set(labels)}
    own = dict(zip(task.groups["perturbation"], nearest, strict=True))
    np.testing.assert_allclose(own["G1,G2"], (mean["G1"] + mean["G2"]) / 2)
    np.testing.assert_allclose(own["G3,G9"], mean["G3"])
    np.testing.assert_allclose(own["G9"], task.perturbed_mean)
    trained = [mean[label] for label in ("G1", "G2", "G3", "G1,G5")]
    np.testing.assert_allclose(task.perturbed_mean, np.mean(trained, axis=0))


def test_permuted_is_never_the_own_profile(clear: Task) -> None:
    got = permuted(clear)
    assert not np.isclose(got, clear.observed).all(axis=1).any()
    assert sorted(map(tuple, got)) == sorted(map(tuple, clear.observed))
    assert np.isnan(permuted(a_task(GENES[:3], GENES[10:11]))).all()


def test_dynamic_range_by_hand() -> None:
    negative = np.array([4.0, 4.0, 4.0, 1.0, 0.5])
    positive = np.array([1.0, 4.0, 9.0, 0.0, 1.0])
    perfect = np.array([0.0, 0.0, 0.0, 1.0, 1.0])
    got = dynamic_range(negative, positive, perfect, -1)
    np.testing.assert_allclose(got, [0.75, 0, -1, np.nan, np.nan])
    np.testing.assert_allclose(dynamic_range(negative, positive, perfect, 1)[4:], [1.0])


def test_certainty_is_welch_with_benjamini_hochberg(clear: Task) -> None:
    rng = np.random.default_rng(0)
    controls, _ = known_controls(clear).halved(rng)
    half = Moments.of(clear.test_matrix, clear.group_of, len(clear.groups))
    got = certainty(half, controls, np.array([3]))
    rows = clear.test_matrix[clear.group_of == 3]
    mean, variance = controls.moments.mean_and_variance(0)
    n = controls.moments.n[0]
    p = stats.ttest_ind_from_stats(
        rows.mean(0), rows.std(0, ddof=1), len(rows), mean, np.sqrt(variance), n, equal_var=False
    ).pvalue
    np.testing.assert_allclose(got[0], 1 - stats.false_discovery_control(p), atol=1e-9)


@pytest.mark.parametrize("rule", TargetedGenes)
def test_every_rule_for_targeted_genes_can_be_calibrated(clear: Task, rule: TargetedGenes) -> None:
    made = calibrate(clear, targeted=rule)
    assert set(CONTROLS) <= set(made.values)
    assert made.summaries()["mse"].discriminates is True


def test_long_frame(calibrated: Calibration) -> None:
    frame = calibrated.frame()
    assert list(frame) == ["method", "group", "metric", "value"]
    assert set(frame["method"]) == {*CONTROLS, DUPLICATE, INTERPOLATED, *HALF.values()}
    chosen = frame[(frame["method"] == DUPLICATE) & (frame["metric"] == "mse")]
    np.testing.assert_array_equal(chosen["value"], calibrated.of(DUPLICATE, "mse"))


def test_nothing_is_drawn_twice_differently(clear: Task, calibrated: Calibration) -> None:
    again: Any = calibrate(clear, threads=2)
    pd.testing.assert_frame_equal(again.frame(), calibrated.frame())


def test_what_does_not_vary_under_weights_is_lost_not_left_out(clear: Task) -> None:
    """The cohort of a weighted metric is fixed by the truth: no effect has no correlation."""
    flat = clear.observed.copy()
    flat[0] = clear.control_mean
    scored = score(clear, Aligned(np.ones(len(flat), dtype=bool), flat, None))
    assert scored.lost["weighted_pearson"] == 1
    assert "weighted_mse" not in scored.lost


def test_in_a_time_series_each_context_halves_its_own_controls() -> None:
    """Group 0 is in the first context, group 1 in the second, group 2 in both."""
    places = {"cell_type": list("kklmkl"), "timepoint": [1, 1, 2, 3, 1, 2]}
    obs = pd.DataFrame(places)
    contexts = Contexts(obs, np.array([0, 0, 1, 3, 2, 2]), 4)
    assert contexts.single().tolist() == [0, 1, -1, 2]
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(9, 3))
    # Four controls of the first context, four of the second, one of the third.
    code = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2])
    first, second = KnownControls(matrix, code, contexts, 4).halved(rng)
    of_k, of_l = matrix[:4].mean(axis=0), matrix[4:8].mean(axis=0)
    whole = (first.reference + second.reference) / 2
    np.testing.assert_allclose(whole[:3], [of_k, of_l, (of_k + of_l) / 2])
    # One control cannot be halved: one of the halves has none.
    assert np.isnan(second.reference[3]).all()
    assert np.isfinite(first.reference).all()
